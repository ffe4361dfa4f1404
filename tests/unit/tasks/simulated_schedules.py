"""Schedulers on one database in memory, with a clock in a test's hands."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from taskmill.application import BUILTIN
from taskmill.registry import Entry
from taskmill.sql import SqliteDatabase, Transaction, migrate
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.ids import IdSource, to_text
from taskmill.tasks.intake.placing import NewTask, Placing
from taskmill.tasks.rows import schema as tasks_schema
from taskmill.tasks.rows import steps
from taskmill.tasks.schedules import schema
from taskmill.tasks.schedules.firing import Tasks
from taskmill.tasks.schedules.model import Definition, Schedule
from taskmill.tasks.schedules.scheduler import Scheduler
from taskmill.tasks.schedules.store import ScheduleStore

LOOK = 30_000  # milliseconds between looks: less than what makes a run a missed one


def definition(name: str = "one", **values: Any) -> Definition:
    """Make a definition: by default a task each minute, whether or not the last one has ended."""
    defaults: dict[str, Any] = {
        "cron": None if "every" in values else "* * * * *",
        "every": None,
        "timezone": "UTC",
        "action": "uppercase",
        "data": '{"text":"hello"}',
        "overlap": "allow",
        "catch_up": "one",
        "jitter": 0,
        "queue": None,
        "priority": None,
        "paused": False,
        "declared": False,
    }
    return Definition(name=name, **{**defaults, **values})


class Simulation:
    """Schedulers, their clock, and what they have handed to the dispatcher."""

    def __init__(self, database: SqliteDatabase, now: int) -> None:
        self.database = database
        self.now = now
        self.lowest = self.highest = now
        self.dispatched: list[NewTask] = []
        catalog = Catalog()
        catalog.load(["file://actions.py"], BUILTIN)
        dispatcher = SimpleNamespace(virtual_now=lambda: self.now)
        dispatchers = cast("Any", {"tasks": dispatcher})
        self.intake = cast("Any", SimpleNamespace(stored=self.dispatched.extend, full=False))
        self.tasks = Tasks(catalog, IdSource(), Placing(["tasks"], "tasks", 600), dispatchers, self.intake)
        self.store = ScheduleStore(database)

    async def node(self, declared: Sequence[Definition] = ()) -> Scheduler:
        """Start a scheduler, as a process does."""
        scheduler = Scheduler(self.database, self.tasks, lambda: self.now)
        await scheduler.prepare(declared)
        return scheduler

    def set(self, now: int) -> None:
        """Set the clock."""
        self.now = now
        self.lowest, self.highest = min(self.lowest, now), max(self.highest, now)

    async def go(self, scheduler: Scheduler, milliseconds: int) -> None:
        """Let time pass, with a look now and then."""
        end = self.now + milliseconds
        while self.now < end:
            self.set(min(self.now + LOOK, end))
            await scheduler.look()

    async def schedule(self, name: str = "one") -> Schedule:
        found = await self.store.get(name)
        assert found is not None
        return found[0]

    async def fires(self, name: str = "one") -> list[tuple[int, str]]:
        """Return the due times that have been, oldest first, and what became of them."""
        return [
            (due, outcome)
            for due, outcome in await self.rows(
                "SELECT due, outcome FROM schedule_fire WHERE schedule = ? ORDER BY due", name
            )
        ]

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        return await self.database.read(lambda connection: connection.execute(sql, values).fetchall())

    async def end_tasks(self) -> None:
        """End all tasks."""
        keys = [key for (key,) in await self.rows("SELECT id FROM task WHERE status = 0")]

        def call(transaction: Transaction) -> None:
            for key in keys:
                transaction.change(steps.CANCEL, id_=key, finished_at_=self.now, error_=None)

        await self.database.write(call)

    async def check(self) -> None:
        """See that each run is one task and each task was dispatched once."""
        stored = [to_text(key) for (key,) in await self.rows("SELECT id FROM task ORDER BY id")]
        runs = await self.rows("SELECT task_id FROM schedule_fire WHERE outcome = 'run' ORDER BY task_id")
        assert [to_text(key) for (key,) in runs] == stored
        assert sorted(to_text(new.message.key) for new in self.dispatched) == stored


@asynccontextmanager
async def simulated(now: int) -> AsyncIterator[Simulation]:
    """Open a database in memory with its tables."""
    config = SqliteConfig(name="db", kind="db.sql.sqlite", file=":memory:")
    entry = Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())
    database = SqliteDatabase(entry, Context({}, lambda *_: None, data_dir=Path(), app_dir=Path()))
    await database.start()
    try:
        await migrate(database, tasks_schema.COMPONENT, tasks_schema.MIGRATIONS)
        await migrate(database, schema.COMPONENT, schema.MIGRATIONS)
        yield Simulation(database, now)
    finally:
        await database.stop()
