"""``db.sql.postgres``: a PostgreSQL server, which several nodes may use. The driver is psycopg 3."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from msgspec import Meta, Struct
from sqlalchemy import ClauseElement, Dialect

from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.sql import access
from taskmill.sql.database import Database, Ran, Transaction
from taskmill.sql.errors import DatabaseDamaged, DatabaseError
from taskmill.sql.postgres_text import DIALECT, compiled, storable
from taskmill.sql.sessions import ApartSession
from taskmill.sql.signals import Signals
from taskmill.sql.space import Space
from taskmill.sql.writer import Writer
from taskmill.supervisor import Context
from taskmill.units import Duration

if TYPE_CHECKING:
    from taskmill.sql.postgres_connect import Dialer
    from taskmill.sql.postgres_engine import Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")

MISSING = '`db.sql.postgres` needs psycopg: pip install "taskmill[postgres]"'
BESIDE_READERS = 3  # connections: the writer's, the one that listens, and that of the heartbeats


class Pool(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How many connections there are."""

    max_open: Annotated[
        int, Meta(ge=4, le=500, description="At most: one writes, one listens, one beats, the others read.")
    ] = 8
    min_idle: Annotated[
        int, Meta(ge=0, description="Those that read and are kept open though nobody wants them.")
    ] = 1
    max_lifetime: Annotated[
        Duration, Meta(description="An older one is closed, and another opened in its place.")
    ] = Duration(3_600)


class Tls(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How the connection is encrypted. Files are below the application's directory unless absolute."""

    mode: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
        Meta(description="As libpq's `sslmode`; only `verify-full` knows whom it talks to."),
    ] = "verify-full"
    ca: Annotated[str | None, Meta(description="The authority that signed the server's certificate.")] = None
    certificate: Annotated[str | None, Meta(description="This client's certificate,")] = None
    key: Annotated[str | None, Meta(description="and its key.")] = None


class PostgresConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A PostgreSQL database, version 13 or later. Give its `url`, or its parts; of both, the parts count."""

    url: Annotated[
        str,
        Meta(description="`postgresql://user:password@host:5432/database`, best as `${env:DATABASE_URL}`."),
    ] = ""
    host: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="Where the server is.")] = (
        None
    )
    port: Annotated[Annotated[int, Meta(ge=1, le=65_535)] | None, Meta(description="Its port; 5432.")] = None
    database: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="The name of the database.")
    ] = None
    username: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="Who logs in.")] = None
    password: Annotated[str | None, Meta(description="From the environment: `${env:DB_PASSWORD}`.")] = None
    tls: Annotated[Tls | None, Meta(description="How it is encrypted; by default as the `url` says.")] = None
    pool: Annotated[Pool, Meta(description="How many connections there are.")] = Pool()
    max_pending: Annotated[
        int, Meta(ge=1, description="Writes that may wait for a commit; beyond it 503.")
    ] = 10_000
    listen: Annotated[
        bool, Meta(description="Wake other nodes up by LISTEN and NOTIFY. Without it they look now and then.")
    ] = True
    pgbouncer: Annotated[
        bool,
        Meta(description="PgBouncer in transaction mode is in between: nothing is prepared, nobody listens."),
    ] = False

    def __repr__(self) -> str:
        return f"PostgresConfig(name={self.name!r})"  # it holds secrets


class PostgresDatabase(Database):
    """A server database: the same group commit as a file's, on one connection, and others that read."""

    kind: ClassVar[str] = "db.sql.postgres"
    Config: ClassVar[type[EntryConfig]] = PostgresConfig
    dialect: ClassVar[str] = "postgresql"
    shared: ClassVar[bool] = True
    core: ClassVar[Dialect] = DIALECT
    readers_field: ClassVar[str] = "pool.max_open"

    _engine: Engine

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        config: PostgresConfig = entry.config
        self.id = entry.id
        self.place = self.kind
        self.killed = True  # nobody knows
        self.signals = Signals()
        self._config = config
        self._context = context
        self._opened = False

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find what is missing to connect."""
        if find_spec("psycopg") is None:
            yield Mistake("kind", MISSING)
        config: PostgresConfig = entry.config
        if not config.url and config.host is None:
            yield Mistake("url", "missing: give the `url`, or `host`, `database`, `username` and `password`")

    @property
    def clock_offset(self) -> float:  # type: ignore[override]
        """Seconds to add to this machine's clock to have the server's."""
        return self._engine.transactor.clock_offset

    async def start(self) -> None:
        """Connect. Raises DatabaseError, which names the mend, where that is not possible."""
        if find_spec("psycopg") is None:
            raise DatabaseError(MISSING)
        from taskmill.sql.postgres_engine import Engine, Options, stream  # noqa: PLC0415

        config, pool = self._config, self._config.pool
        dialer = self.dialer()
        self.place = dialer.place
        readers = pool.max_open - BESIDE_READERS
        listen = config.listen and not config.pgbouncer
        engine = Engine(dialer, Options(readers, min(pool.min_idle, readers), pool.max_lifetime, listen))
        for warning in await asyncio.to_thread(engine.examine):
            logger.warning("%s: %s", dialer.place, warning)
        self._engine, self._stream = engine, stream
        dialer.watched = True
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="taskmill-reader")
        self.writer = Writer(engine.transactor, config.max_pending, self._damaged)
        self.signals = self._signals = engine.listen()
        self._opened = True
        await self.probe()
        access.register(self.id, self)

    def dialer(self) -> Dialer:
        """Return what opens connections."""
        # It is an extra, and takes a while to import.
        from taskmill.sql.postgres_connect import Dialer, parts_of  # noqa: PLC0415

        config = self._config
        return Dialer(self.id, parts_of(config.url, self._parts()), pgbouncer=config.pgbouncer)

    async def stop(self) -> None:
        """Commit what waits, and close every connection."""
        access.forget(self.id, self)
        if not self._opened:
            return
        self._opened = False
        await self.writer.stop()
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._signals.stop)
        await asyncio.to_thread(self._engine.close)

    async def probe(self) -> None:
        """Write something: a transaction that has a number is flushed."""
        await self.writer.run(lambda session: session.execute("SELECT pg_current_xact_id()::text"))

    def compile(self, statement: ClauseElement) -> str:
        """Make a statement known to the writer; return what its lanes name it by."""
        return self._engine.add(compiled(statement), statement)

    def bind(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return a statement's SQL and the values of its parameters."""
        text = compiled(statement)
        every = {**text.params, **values}
        return str(text), [storable(every[name]) for name in text.positiontup or ()]

    def change(self, connection: Any, sql: str, arguments: Sequence[Any]) -> int:
        """In a call of the writer, change rows; return how many that were."""
        return int(connection.execute(sql, arguments).rowcount)

    def change_all(self, connection: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """In a call of the writer, run a statement of a lane for each of the rows."""
        for statement in self._engine.batches[sql].statements([tuple(row) for row in rows]):
            connection.execute(*statement)

    def iterate(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
        """In a call of :meth:`read`, give rows as they come; the query is cancelled where it is closed before."""
        return self._stream(connection, sql, arguments)

    def run(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Ran:
        """In a call, run any statement."""
        cursor = connection.execute(sql, arguments)
        if cursor.description is None:
            return Ran([], [], cursor.rowcount)
        changed = 0 if cursor.statusmessage.startswith("SELECT") else cursor.rowcount
        return Ran([column.name for column in cursor.description], cursor.fetchall(), changed)

    def explain(self, error: Exception) -> Exception:
        """Turn an error of psycopg, in a call, into what is to be done about it; return any other as it is."""
        return self._engine.explain(error)

    def serialize(self, connection: Any, name: str) -> None:
        """In a call of the writer, wait until no other transaction holds the name; hold it until the commit."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"taskmill {name}"])

    async def read(self, call: Callable[[Any], T]) -> T:
        """Run ``call(connection)`` on a connection that can only read, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._engine.read, call)

    def session(self) -> ApartSession:
        """Return what runs transactions from a thread, on a connection of its own."""
        apart = self._engine.another()
        return ApartSession(apart, partial(Transaction, self), apart.close)

    def reader(self, timeout: float | None = None) -> AbstractContextManager[Any]:
        """Borrow a read connection, in a thread. Raises TimeoutError if none is free within ``timeout`` seconds."""
        return self._engine.reader(timeout)

    async def measure(self) -> Space:
        """Return about what the rows that there are take: what is dead is used again, and counts as free."""
        from taskmill.sql.postgres_space import FLUSH_STATISTICS, measure  # noqa: PLC0415

        await self.writer.run(lambda session: session.execute(FLUSH_STATISTICS))
        return await self.read(measure)

    async def give_back(self, pages: int) -> float:  # noqa: ARG002 - it does nothing
        """Leave it to the server's vacuum."""
        return 0.0

    async def checkpoint(self) -> None:
        """Leave it to the server."""

    def _damaged(self, error: DatabaseDamaged) -> None:
        self._context.fail(self.id, error)

    def _parts(self) -> dict[str, Any]:
        config, tls = self._config, self._config.tls
        parts = {
            "host": config.host,
            "port": config.port,
            "dbname": config.database,
            "user": config.username,
            "password": config.password,
        }
        if tls is not None:
            parts |= {
                "sslmode": tls.mode,
                "sslrootcert": self._file(tls.ca) or ("system" if tls.mode == "verify-full" else None),
                "sslcert": self._file(tls.certificate),
                "sslkey": self._file(tls.key),
            }
        return parts

    def _file(self, name: str | None) -> str | None:
        return None if name is None else str(self._context.app_dir / name)
