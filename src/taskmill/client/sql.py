"""Submitting in the caller's own transaction: the task exists if, and only if, that transaction commits.

For applications whose data stands in the database of the task queue, PostgreSQL or MySQL:

    with engine.begin() as connection:
        connection.execute(insert(orders).values(id=42))
        taskmill.client.sql.submit(connection, "send_receipt", {"order": 42})

No server is asked. A task is run once the leader has seen its row: within a tenth of a second of the commit, or, where
the transaction took longer than a second or two, within ten seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import ClauseElement, Dialect, select
from sqlalchemy.dialects.postgresql import asyncpg, psycopg

from taskmill.client.tracing import trace_text
from taskmill.tasks.actions.action import Action
from taskmill.tasks.cluster.clock import database_now
from taskmill.tasks.finding.statements import ADD as ADD_TO_INDEX
from taskmill.tasks.finding.values import entries
from taskmill.tasks.ids import id_at, to_text
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.statements import ADD_FULL
from taskmill.tasks.sealing.keys import Keyring

AGEING = 600.0  # seconds: what `ageing` of a `task.service` is, unless it says otherwise
ATTEMPTS = 3  # of an action that is known by its name alone
SHARED = ("postgresql", "mysql", "mariadb")

# Of SQLAlchemy: Connection or Session, AsyncConnection or AsyncSession. Of psycopg: Connection, AsyncConnection.
# Of asyncpg: Connection.
AnyConnection: TypeAlias = Any

_NOW = select(database_now())
_PSYCOPG: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]
_ASYNCPG: Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]


class Options(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a task is to be run; times are in seconds. What is not given is as its action declares it."""

    queue: str | None = None
    priority: int | None = None
    delay: float = 0
    run_at: datetime | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    expires_in: float | None = None
    tags: Sequence[str] = ()


def submit(
    connection: AnyConnection,
    action: str | Action[..., Any],
    data: object = None,
    *,
    ageing: float = AGEING,
    encrypt: str | None = None,
    **options: Any,
) -> str:
    """Add a task in the transaction of ``connection``; return its id.

    ``data`` is anything that JSON can say, an object by default. Given the action itself, and not its name, it is
    validated. ``options`` are those of :class:`Options`. ``ageing`` and ``encrypt`` are what the `task.service`
    declares: without its keys the data is stored as it is. Unique keys, fairness and start deadlines need a look at
    other tasks: for those, submit over HTTP.

    Raises:
        TypeError: the connection is of no library that is known, or asynchronous: use :func:`submit_async`.
        ValueError: an option is wrong, or the database is not shared with the task queue.
        msgspec.ValidationError: the data is not what the action takes.
    """
    driver = _driver(connection)
    if driver.asynchronous:
        raise TypeError(
            "this connection is asynchronous: `await taskmill.client.sql.submit_async(connection, …)`"
        )
    task = _Task.of(action, data, ageing, options)
    ((now,),) = driver.run(connection, _NOW, {}).fetchall()
    values = _sealed(task.row(int(now)), encrypt)
    driver.run(connection, ADD_FULL, values)
    for row in task.index_rows(values["id_"]):
        driver.run(connection, ADD_TO_INDEX, row)
    return to_text(values["id_"])


async def submit_async(
    connection: AnyConnection,
    action: str | Action[..., Any],
    data: object = None,
    *,
    ageing: float = AGEING,
    encrypt: str | None = None,
    **options: Any,
) -> str:
    """Add a task in the transaction of an asynchronous connection; see :func:`submit`."""
    driver = _driver(connection)
    if not driver.asynchronous:
        return submit(connection, action, data, ageing=ageing, encrypt=encrypt, **options)
    task = _Task.of(action, data, ageing, options)
    values = _sealed(task.row(await driver.now(connection)), encrypt)
    await driver.run(connection, ADD_FULL, values)
    for row in task.index_rows(values["id_"]):
        await driver.run(connection, ADD_TO_INDEX, row)
    return to_text(values["id_"])


@cache
def _keyring(declared: str) -> Keyring:
    return Keyring.of(declared)


def _sealed(values: dict[str, Any], declared: str | None) -> dict[str, Any]:
    """Encrypt the data among the parameters of a task, where keys are given."""
    return values if declared is None else {**values, "data_": _keyring(declared).seal(values["data_"])}


class _Task(NamedTuple):
    action: str
    data: str
    options: Options
    ageing: float
    attempts: int
    indexed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, action: str | Action[..., Any], data: object, ageing: float, options: dict[str, Any]
    ) -> _Task:
        wanted = msgspec.convert(options, Options)
        encoded = msgspec.json.encode({} if data is None else data)
        if b"\\u0000" in encoded:
            raise ValueError("leave the character U+0000 out of the data: not every database can store it")
        if isinstance(action, str):
            return cls(action, encoded.decode(), wanted, ageing, wanted.max_attempts or ATTEMPTS)
        action.decode(encoded)
        own = action.options
        wanted = msgspec.structs.replace(
            wanted,
            queue=wanted.queue or own.queue,
            priority=own.priority if wanted.priority is None else wanted.priority,
            expires_in=wanted.expires_in or own.expires_in,
        )
        attempts = wanted.max_attempts or action.max_attempts
        return cls(action.name, encoded.decode(), wanted, ageing, attempts, own.index)

    def index_rows(self, id_: bytes) -> list[dict[str, Any]]:
        """Return the parameters of what its data is found by."""
        found = entries(self.indexed, self.data) if self.indexed else []
        return [{"path_": path, "value_": value, "task_id_": id_} for path, value in found]

    def row(self, now: int) -> dict[str, Any]:
        """Return the parameters of ADD_FULL for a task submitted ``now`` by the database's clock, in milliseconds."""
        wanted = self.options
        at = now + int(wanted.delay * 1000)
        if wanted.run_at is not None:
            at = int(wanted.run_at.timestamp() * 1000)
        later = at > now
        priority = wanted.priority or 0
        return {
            "id_": id_at(now),
            "action_": self.action,
            "queue_": wanted.queue or "tasks",
            "data_": self.data,
            "status_": (Status.SCHEDULED if later else Status.QUEUED).value,
            "max_attempts_": self.attempts,
            "created_at_": now,
            "rank_": max(at, now) - int(priority * self.ageing * 1000),
            "priority_": priority,
            "run_at_": at if later else None,
            "expires_at_": None if wanted.expires_in is None else now + int(wanted.expires_in * 1000),
            "timeout_": None if wanted.timeout is None else int(wanted.timeout * 1000),
            "key_": None,
            "fair_key_": None,
            "limit_key_": None,  # the dispatcher finds out for itself
            "tags_": msgspec.json.encode(list(wanted.tags)).decode() if wanted.tags else None,
            "held_": None,
            "version_": None,
            "after_": None,
            "batch_": None,
            "name_": None,
            "trace_": trace_text(),
        }


class _Driver:
    """How a library runs a statement of SQLAlchemy Core on its connections."""

    def __init__(self, dialect: Dialect | None, asynchronous: bool) -> None:
        self._dialect = dialect  # None where the library is SQLAlchemy itself
        self.asynchronous = asynchronous

    def run(self, connection: AnyConnection, statement: ClauseElement, values: dict[str, Any]) -> Any:
        """Run a statement; the answer is a cursor, or something to await where the connection is asynchronous."""
        if self._dialect is None:
            return connection.execute(statement, values)
        compiled = statement.compile(dialect=self._dialect)
        positions = getattr(compiled, "positiontup", None)
        parameters = {**compiled.params, **values}
        if positions is None:
            return connection.execute(str(compiled), parameters)
        return connection.execute(str(compiled), *[parameters[name] for name in positions])

    async def now(self, connection: AnyConnection) -> int:
        """Return the time by the database's clock, in milliseconds since 1970."""
        if self._dialect is _ASYNCPG:
            return int(await connection.fetchval(str(_NOW.compile(dialect=self._dialect))))
        answer: Awaitable[Any] = self.run(connection, _NOW, {})
        cursor = await answer
        row = cursor.fetchone()
        return int((await row if isinstance(row, Awaitable) else row)[0])


def _driver(connection: AnyConnection) -> _Driver:
    """Find out whose a connection is, without importing libraries that the caller does not use."""
    libraries = {base.__module__.partition(".")[0]: base for base in type(connection).__mro__}
    name = type(connection).__name__
    if "sqlalchemy" in libraries:
        _check_shared(_dialect_of(connection))
        return _Driver(None, asynchronous=name.startswith("Async") or "async" in name.lower())
    if "psycopg" in libraries:
        return _Driver(_PSYCOPG, asynchronous=name.startswith("Async"))
    if "asyncpg" in libraries:
        return _Driver(_ASYNCPG, asynchronous=True)
    raise TypeError(
        f"{type(connection).__module__}.{name} is no connection that is known: "
        "give one of SQLAlchemy, psycopg or asyncpg"
    )


def _dialect_of(connection: AnyConnection) -> str:
    bound = connection.get_bind() if hasattr(connection, "get_bind") else connection
    return str(bound.dialect.name)


def _check_shared(dialect: str) -> None:
    if dialect not in SHARED:
        raise ValueError(
            f"a task queue shares its database on PostgreSQL and MySQL only, and this is {dialect}: submit over HTTP"
        )
