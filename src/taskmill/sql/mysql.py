"""``db.sql.mysql``: a MySQL or MariaDB server, which several nodes may use. The driver is PyMySQL."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from msgspec import Meta, Struct
from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.sql import access
from taskmill.sql.database import Database, Ran, Transaction
from taskmill.sql.errors import DatabaseDamaged, DatabaseError
from taskmill.sql.mysql_batch import DIALECT, compiled
from taskmill.sql.sessions import ApartSession
from taskmill.sql.signals import Signals
from taskmill.sql.space import Space
from taskmill.sql.writer import Writer
from taskmill.supervisor import Context
from taskmill.units import Duration

if TYPE_CHECKING:
    from taskmill.sql.mysql_connect import Dialer
    from taskmill.sql.mysql_engine import Engine

logger = logging.getLogger(__name__)
T = TypeVar("T")

MISSING = '`db.sql.mysql` needs PyMySQL: pip install "taskmill[mysql]"'
BESIDE_READERS = 2  # connections: the writer's, and the one for signals

_PROBE = "REPLACE INTO taskmill_signal VALUES ('a probe', UNIX_TIMESTAMP())"


@cache
def _compiled(statement: ClauseElement) -> SQLCompiler:
    return compiled(statement)


class MysqlPool(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How many connections there are."""

    max_open: Annotated[
        int, Meta(ge=3, le=500, description="At most: one writes, one tells of news, the others read.")
    ] = 8
    min_idle: Annotated[
        int, Meta(ge=0, description="Those that read and are kept open though nobody wants them.")
    ] = 1
    max_lifetime: Annotated[
        Duration, Meta(description="An older one is closed, and another opened in its place.")
    ] = Duration(3_600)


class MysqlTls(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How the connection is encrypted. Files are below the application's directory unless absolute."""

    mode: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
        Meta(
            description="Only `verify-full` knows whom it talks to; `prefer` is for a server that may have none."
        ),
    ] = "verify-full"
    ca: Annotated[str | None, Meta(description="The authority that signed the server's certificate.")] = None
    certificate: Annotated[str | None, Meta(description="This client's certificate,")] = None
    key: Annotated[str | None, Meta(description="and its key.")] = None


class MysqlConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A MySQL 8 or MariaDB 10.6 database, or later. Give its `url`, or its parts; of both, the parts count."""

    url: Annotated[
        str, Meta(description="`mysql://user:password@host:3306/database`, best as `${env:DATABASE_URL}`.")
    ] = ""
    host: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="Where the server is; a path is that of its socket."),
    ] = None
    port: Annotated[Annotated[int, Meta(ge=1, le=65_535)] | None, Meta(description="Its port; 3306.")] = None
    database: Annotated[
        Annotated[str, Meta(min_length=1)] | None, Meta(description="The name of the database.")
    ] = None
    username: Annotated[Annotated[str, Meta(min_length=1)] | None, Meta(description="Who logs in.")] = None
    password: Annotated[str | None, Meta(description="From the environment: `${env:DB_PASSWORD}`.")] = None
    tls: Annotated[MysqlTls | None, Meta(description="How it is encrypted; by default as `prefer`.")] = None
    pool: Annotated[MysqlPool, Meta(description="How many connections there are.")] = MysqlPool()
    max_pending: Annotated[
        int, Meta(ge=1, description="Writes that may wait for a commit; beyond it 503.")
    ] = 10_000
    listen: Annotated[
        bool,
        Meta(
            description="Wake other nodes up, by a table that they read. Without it they look now and then."
        ),
    ] = True

    def __repr__(self) -> str:
        return f"MysqlConfig(name={self.name!r})"  # it holds secrets


class MysqlDatabase(Database):
    """A server database: the same group commit as a file's, on one connection, and others that read."""

    kind: ClassVar[str] = "db.sql.mysql"
    Config: ClassVar[type[EntryConfig]] = MysqlConfig
    dialect: ClassVar[str] = "mysql"
    shared: ClassVar[bool] = True
    core: ClassVar[Dialect] = DIALECT
    readers_field: ClassVar[str] = "pool.max_open"

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        config: MysqlConfig = entry.config
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
        if find_spec("pymysql") is None:
            yield Mistake("kind", MISSING)
        config: MysqlConfig = entry.config
        if not config.url and config.host is None:
            yield Mistake("url", "missing: give the `url`, or `host`, `database`, `username` and `password`")

    @property
    def clock_offset(self) -> float:  # type: ignore[override]
        """Seconds to add to this machine's clock to have the server's."""
        return self._engine.transactor.clock_offset

    async def start(self) -> None:
        """Connect. Raises DatabaseError, which names the mend, where that is not possible."""
        if find_spec("pymysql") is None:
            raise DatabaseError(MISSING)
        from taskmill.sql.mysql_engine import Engine, Options, stream  # noqa: PLC0415

        config, pool = self._config, self._config.pool
        dialer = self.dialer()
        self.place = dialer.place
        readers = pool.max_open - BESIDE_READERS
        engine = Engine(dialer, Options(readers, min(pool.min_idle, readers), pool.max_lifetime))
        for warning in await asyncio.to_thread(engine.examine):
            logger.warning("%s: %s", dialer.place, warning)
        self._engine: Engine = engine
        self._stream = stream
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="taskmill-reader")
        self.writer = Writer(engine.transactor, config.max_pending, self._damaged)
        self._opened = True
        self.signals = self._signals = engine.listen(listen=config.listen)
        await self.probe()
        access.register(self.id, self)

    def dialer(self) -> Dialer:
        """Return what opens connections."""
        # It is an extra, and takes a while to import.
        from taskmill.sql.mysql_connect import Dialer, address_of  # noqa: PLC0415

        config = self._config
        plain = config.tls is not None and config.tls.mode == "disable"
        return Dialer(self.id, address_of(config.url, self._parts()), self._tls(), plain=plain)

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
        """Write something, and flush it."""
        await self.writer.run(lambda session: session.execute(_PROBE))

    def compile(self, statement: ClauseElement) -> str:
        """Make a statement known to the writer; return what its lanes name it by."""
        return self._engine.add(_compiled(statement), statement)

    def bind(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return a statement's SQL and the values of its parameters."""
        found = _compiled(statement)
        every = {**found.params, **values}
        return str(found), [every[name] for name in found.positiontup or ()]

    def change(self, connection: Any, sql: str, arguments: Sequence[Any]) -> int:
        """In a call of the writer, change rows; return how many that were, of those too that were so already."""
        return int(connection.execute(sql, arguments).rowcount)

    def change_all(self, connection: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """In a call of the writer, run a statement of a lane for each of the rows."""
        for statement in self._engine.batches[sql].statements([tuple(row) for row in rows]):
            connection.execute(*statement)

    def iterate(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
        """In a call of :meth:`read`, give rows as they come; the connection ends where it is closed before the last."""
        return self._stream(connection, sql, arguments)

    def run(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Ran:
        """In a call, run any statement."""
        cursor = connection.execute(sql, arguments)
        if not cursor.description:
            return Ran([], [], cursor.rowcount)
        return Ran([column[0] for column in cursor.description], list(cursor.fetchall()), 0)

    def explain(self, error: Exception) -> Exception:
        """Turn an error of the driver, in a call, into what is to be done about it; return any other as it is."""
        return self._engine.explain(error)

    def serialize(self, connection: Any, name: str) -> None:
        """In a call of the writer, wait until no other transaction holds the name; hold it until the commit."""
        self._engine.serialize(connection, name)

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
        """Return the space that the tables take by the last commits, but for what the server has yet to clear."""
        return await asyncio.to_thread(self._engine.measure)

    async def give_back(self, pages: int) -> float:  # noqa: ARG002 - it does nothing
        """Leave it to `OPTIMIZE TABLE`, which is for somebody who knows when."""
        return 0.0

    async def checkpoint(self) -> None:
        """Leave it to the server."""

    def _damaged(self, error: DatabaseDamaged) -> None:
        self._context.fail(self.id, error)

    def _parts(self) -> dict[str, Any]:
        return {
            name: getattr(self._config, name) for name in ("host", "port", "database", "username", "password")
        }

    def _tls(self) -> ssl.SSLContext | None:
        """Return how to encrypt, or None where that is left to the server, or not to be."""
        tls = self._config.tls
        if tls is None or tls.mode in ("disable", "prefer"):
            return None
        try:
            context = ssl.create_default_context(cafile=self._file(tls.ca))
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # certificates that MySQL makes itself are not
            context.check_hostname = tls.mode == "verify-full"
            if tls.mode == "require":
                context.verify_mode = ssl.CERT_NONE
            if tls.certificate is not None:
                context.load_cert_chain(self._file(tls.certificate) or "", self._file(tls.key))
        except OSError as error:
            raise DatabaseError(
                f"{self.id}: its `tls` cannot be read ({error}): mend the names of the files"
            ) from None
        return context

    def _file(self, name: str | None) -> str | None:
        return None if name is None else str(self._context.app_dir / name)
