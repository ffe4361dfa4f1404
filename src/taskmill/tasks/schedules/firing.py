"""Running schedules: their tasks, and the one transaction in which a due time becomes a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from taskmill.http import BadRequest
from taskmill.sql import Transaction
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.ids import IdSource
from taskmill.tasks.intake import once
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import NewTask, Placing
from taskmill.tasks.intake.submission import Submission, read_submission
from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.rows import statements as tasks
from taskmill.tasks.schedules import statements
from taskmill.tasks.schedules.model import Definition, Schedule
from taskmill.tasks.schedules.plan import Plan
from taskmill.tasks.schedules.timing import spread

KEPT = 1_000  # due times of a schedule that are remembered; those before them count as run


class Made(NamedTuple):
    """A task that a run of a schedule would be; ``why`` says why there is none."""

    new: NewTask | None
    why: str = ""


class Stored(NamedTuple):
    """What a run came to: the id of its task, and the task itself if it was not there before."""

    id: bytes
    new: NewTask | None


class Tasks:
    """Makes the tasks of schedules, stores them as part of a transaction, and hands them to their dispatchers."""

    def __init__(
        self,
        catalog: Catalog,
        ids: IdSource,
        placing: Placing,
        dispatchers: Mapping[str, Dispatcher],
        intake: Intake,
    ) -> None:
        self.catalog = catalog
        self._ids = ids
        self._placing = placing
        self._dispatchers = dispatchers
        self._intake = intake

    @property
    def full(self) -> bool:
        """Whether as many tasks wait or run as may."""
        return self._intake.full

    def make(self, schedule: Schedule, now: int) -> Made:
        """Make the task of a run: one with the tag ``schedule:NAME``. The action may have gone since."""
        registered = self.catalog.find(schedule.action)
        if registered is None:
            return Made(None, f"there is no action {schedule.action} any more")
        submission = Submission(
            action=schedule.action,
            data=msgspec.Raw(schedule.data.encode()),
            queue=schedule.queue,
            priority=schedule.priority,
            tags=[f"schedule:{schedule.name}"],
        )
        try:
            return Made(self._placing.place(self._ids.next(), submission, registered, None, now))
        except BadRequest as error:
            return Made(None, "; ".join(f"{one.path}: {one.message}" for one in error.errors))

    def check(self, definition: Definition) -> None:
        """See that a schedule's data is what its action takes, and that its queue exists; raise BadRequest."""
        body = {"action": definition.action, "data": msgspec.Raw(definition.data.encode())}
        _, registered, _ = read_submission(msgspec.json.encode(body), self.catalog)
        submission = Submission(action=definition.action, queue=definition.queue)
        self._placing.check(submission, registered)

    def store(self, transaction: Transaction, new: NewTask) -> Stored:
        """Store a task; raise :class:`taskmill.tasks.intake.once.NotUnique` where its action takes no second."""
        submitted = once.submit(transaction, new, idempotency=None)
        if submitted.rank is None:
            return Stored(submitted.id, None)
        new.place = new.message.place = replace(new.place, rank=submitted.rank)
        return Stored(submitted.id, new)

    def stored(self, news: Sequence[NewTask]) -> None:
        """Dispatch tasks whose rows are committed."""
        self._intake.stored(list(news))


@dataclass(slots=True)
class Run:
    """A schedule whose time has come: what is to be done, and, once it is, the tasks that came of it."""

    schedule: Schedule
    plan: Plan
    made: list[Made]  # one for each due time of the plan
    stored: list[NewTask] = field(default_factory=list)


def run(transaction: Transaction, tasks_: Tasks, one: Run, now: int) -> None:
    """Advance a schedule and submit what is due, all or nothing; do nothing where another node has."""
    name = one.schedule.name
    following = one.plan.next_due
    advanced = transaction.change(
        statements.ADVANCE,
        next_due_=following,
        next_run_at_=spread(name, following, one.schedule.jitter),
        name_=name,
        revision_=one.schedule.revision,
        before_=one.schedule.next_due,
    )
    one.stored.clear()  # the transaction may be tried again
    if not advanced:
        return
    for due, made in zip(one.plan.due, one.made, strict=True):
        if due <= one.schedule.forgotten or transaction.fetch(statements.FIRED, schedule_=name, due_=due):
            continue  # it has been, and the clock was set back since
        outcome, id_ = _submit(transaction, tasks_, one, made, now)
        values = {"at_": now, "outcome_": outcome, "task_id_": id_}
        transaction.change(statements.ADD_FIRE, schedule_=name, due_=due, **values)
    for (due,) in transaction.fetch(statements.NTH_FIRE, schedule_=name, offset_=KEPT):
        transaction.change(statements.FORGET_FIRES, schedule_=name, due_=due)
        transaction.change(statements.SET_FORGOTTEN, name_=name, forgotten_=due)


def run_now(transaction: Transaction, tasks_: Tasks, name: str, new: NewTask, now: int) -> Stored:
    """Submit a schedule's task because somebody asked for it."""
    stored = tasks_.store(transaction, new)
    transaction.change(statements.SET_LAST, name_=name, last_run_at_=now, last_task_id_=stored.id)
    return stored


def _submit(
    transaction: Transaction, tasks_: Tasks, one: Run, made: Made, now: int
) -> tuple[str, bytes | None]:
    """Submit one task; return what came of it, and the task's id."""
    if made.new is None:
        return f"failed: {made.why}", None
    if one.schedule.overlap == "skip" and _last_runs(transaction, one.schedule.name):
        return "skipped: the last one has not ended", None
    try:
        stored = run_now(transaction, tasks_, one.schedule.name, made.new, now)
    except once.NotUnique as error:
        return "skipped: its action has an unfinished task with this key", error.id
    if stored.new is not None:
        one.stored.append(stored.new)
    return "run", stored.id


def _last_runs(transaction: Transaction, name: str) -> bool:
    """Whether the last task of a schedule has not ended. One that was removed since has."""
    ((last,),) = transaction.fetch(statements.LAST, name_=name)
    states = transaction.fetch(tasks.STATUS, id_=last) if last else []
    return any(status not in ENDED for (status,) in states)
