"""Connections to PostgreSQL: where to, with which settings of the session, and what its errors mean."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.numeric import Int8BinaryDumper

from taskmill.sql import postgres_batch
from taskmill.sql.errors import DatabaseAway, DatabaseError, DatabaseUnavailable
from taskmill.sql.outage import Outage

logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of errors that are handled here

Role = Literal["writer", "reader", "signals"]

CONNECT_SECONDS = 4  # to wait for a server to answer
STATEMENT_MS = 30_000  # after which a statement is given up
IDLE_MS = 30_000  # after which a transaction that does nothing is: it keeps dead rows from being cleared
OLDEST = 130_000  # the first version that is known to do

# A dead line is noticed within some seconds, instead of the quarter of an hour of the system's own settings.
_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}

# The writer goes by keys alone. Before the server has gathered statistics of a table that has just grown, it may
# think otherwise, and keep that thought in a prepared statement.
_WRITER = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "synchronous_commit": "on",
}
_READER = {"default_transaction_read_only": "on", "plan_cache_mode": "force_custom_plan"}
_BOTH = {"statement_timeout": str(STATEMENT_MS), "idle_in_transaction_session_timeout": str(IDLE_MS)}
SETTINGS: Mapping[Role, Mapping[str, str]] = {
    "writer": {**_BOTH, **_WRITER},
    "reader": {**_BOTH, **_READER},
    "signals": {},
}

# The connection ended, with or without a word of the server's.
_LOST = (
    errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.IdleInTransactionSessionTimeout,
)  # fmt: skip

# What passes: the server restarts, a standby takes over, a disk is full, a lock is held, a statement took too long.
_PASSING = (
    errors.OperationalError, errors.ReadOnlySqlTransaction, errors.QueryCanceled, errors.LockNotAvailable,
)  # fmt: skip


class Session:
    """A connection as calls use it: plain statements, rows as tuples."""

    __slots__ = ("connection",)

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def execute(self, sql: str, arguments: Sequence[Any] | None = None, /) -> psycopg.Cursor[Any]:
        """Run a statement; without arguments it may be several, divided by semicolons."""
        cursor = self.connection.cursor(binary=arguments is not None)
        return cursor.execute(cast(Any, sql), arguments, prepare=None if arguments else False)


class Dialer:
    """Opens connections. ``parts`` are libpq's, ``prepare`` is whether statements may be prepared on the server."""

    def __init__(self, id_: str, parts: Mapping[str, Any], *, pgbouncer: bool) -> None:
        self._id = id_
        self._parts = parts
        self.pgbouncer = pgbouncer
        self.place = (
            f"PostgreSQL at {parts.get('host', 'localhost')}:{parts.get('port', 5432)}, "
            f"database {parts.get('dbname', parts.get('user'))}, user {parts.get('user')}"
        )
        self.outage = Outage(self.place)
        self.watched = False  # once it has started, a server that cannot be reached is an outage

    def connect(self, role: Role) -> psycopg.Connection[Any]:
        """Open a connection; raise DatabaseUnavailable, which names the mend."""
        parts: dict[str, Any] = {
            "connect_timeout": CONNECT_SECONDS,
            "target_session_attrs": "primary",  # of several hosts, the one that is not a standby
            **_ALIVE,
            **self._parts,
            "application_name": f"taskmill {self._id} {role}",
            "client_encoding": "utf8",
        }
        settings = "" if self.pgbouncer else " ".join(f"-c {k}={v}" for k, v in SETTINGS[role].items())
        parts["options"] = f"{settings} {parts.get('options', '')}".strip()
        if not parts["options"]:
            del parts["options"]
        try:
            connection = psycopg.connect(**parts, autocommit=True)
        except psycopg.Error as error:
            why = self._refused(error)
            if not self.watched:
                raise DatabaseUnavailable(f"{self.place} cannot be used: {why}") from None
            self.outage.begin(why)
            raise DatabaseAway(f"{self.place} is gone: {why}") from None
        if self.pgbouncer:
            connection.prepare_threshold = None
        elif role == "writer":
            connection.prepare_threshold = 0
        # One type for all, so that there is one statement for all.
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        postgres_batch.register(connection)
        self.outage.end()
        return connection

    def explain(self, error: psycopg.Error) -> DatabaseError:
        """Turn an error of a statement into what is to be done about it."""
        if isinstance(error, _LOST) or (
            isinstance(error, psycopg.OperationalError) and error.sqlstate is None
        ):
            return DatabaseAway(f"{self.place} broke off ({_first_line(error)}); it goes on by itself")
        if isinstance(error, _PASSING):
            return DatabaseUnavailable(
                f"{self.place} cannot do it now ({_first_line(error)}); it goes on by itself"
            )
        return DatabaseError(f"{self.place}: {_first_line(error)}")

    def _refused(self, error: psycopg.Error) -> str:
        why = _first_line(error)
        if "password authentication failed" in why or "no password supplied" in why:
            mend = "give the right `password`, such as from the environment"
        elif "database" in why and "does not exist" in why:
            mend = "make it with `createdb`, or name another one"
        elif "certificate" in why or "SSL" in why:
            mend = "see to its `tls`"
        elif "FATAL" in why:
            mend = "see to what it says"
        else:
            mend = "start it, or mend `host` and `port`"
        return f"{why}; {mend}"


def parts_of(url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return libpq's parameters of a url and of what is given besides; raise DatabaseError where it is no url."""
    try:
        parts: dict[str, Any] = dict(conninfo_to_dict(url))
    except psycopg.Error:
        # Its message would show the password.
        raise DatabaseError(
            "the `url` is none of PostgreSQL: write postgresql://user:password@host:5432/database, "
            "with %-escapes in the password"
        ) from None
    return {**parts, **{name: value for name, value in given.items() if value is not None}}


def usable(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection may be used again: it stands, and in no transaction."""
    return not broken(connection) and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def broken(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection is of no use any more."""
    return connection.closed or connection.broken


def _first_line(error: psycopg.Error) -> str:
    """Return what an error says without the statement, whose values are nobody's business."""
    if error.diag.message_primary is not None:
        return error.diag.message_primary
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    telling = next((line for line in lines if "failed: " in line), lines[0])
    return telling.rpartition("failed: ")[2].replace("FATAL:  ", "FATAL: ")
