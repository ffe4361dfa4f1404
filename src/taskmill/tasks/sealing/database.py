"""A database that encrypts on the way in and decrypts on the way out, column by column, by the types of columns.

It stands where the database of a task queue does, so that whatever writes or reads rows has it. Where nothing is
encrypted it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

from sqlalchemy import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.sql import Database, Lane, Transaction, coded
from taskmill.sql.coded import Coded
from taskmill.tasks.sealing.column import SealedText, Unopened
from taskmill.tasks.sealing.keys import KeyMissing, Keyring, key_named, key_of

T = TypeVar("T")
Row = Sequence[Any]

# What of a database neither writes nor reads what is encrypted.
PASSED: Final = frozenset(
    {
        "checkpoint", "clock_offset", "core", "dialect", "explain", "give_back", "id", "kind", "killed", "measure",
        "place", "probe", "readers_field", "session", "shared", "signals",
    }
)  # fmt: skip

_DISPATCHED: Final = {0: "id", 1: "action", 3: "attempt", 4: "max_attempts", 5: "queue"}
_ACTION, _DATA = 1, 2  # places in what a dispatcher reads of a task


class _Columns:
    """Which values of a statement's rows are encrypted, with what stands in for one that cannot be decrypted."""

    def __init__(self, compiled: SQLCompiler, keyring: Keyring) -> None:
        columns = compiled._result_columns or []
        self.sealed = [
            (place, column.type.stand_in)
            for place, column in enumerate(columns)
            if isinstance(column.type, SealedText)
        ]
        names = {place: columns[place].keyname for place in _DISPATCHED if place < len(columns)}
        self._dispatched = names == _DISPATCHED and any(place == _DATA for place, _ in self.sealed)
        self._keyring = keyring

    def opened(self, row: Row) -> Row:
        """Decrypt a row."""
        values = list(row)
        for place, stand_in in self.sealed:
            value = values[place]
            if value is None:
                continue
            try:
                values[place] = self._keyring.open(value)
            except KeyMissing:
                values[place] = stand_in or value
                if self._dispatched and place == _DATA:
                    id_ = key_of(value)
                    values[_ACTION] = Unopened(
                        f"{values[_ACTION]}: its data is encrypted with the key {id_}, which is missing or another"
                    )
        return tuple(values)


class _Text(Coded):
    """A statement's SQL, with which of its values are encrypted."""

    columns: _Columns


class _Cursor:
    """The rows of a query, decrypted."""

    def __init__(self, cursor: Any, columns: _Columns) -> None:
        self._cursor = cursor
        self._columns = columns

    def fetchall(self) -> list[Any]:
        return [self._columns.opened(row) for row in self._cursor.fetchall()]

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        return None if row is None else self._columns.opened(row)

    def close(self) -> object:
        return self._cursor.close()

    def __iter__(self) -> Iterator[Any]:
        return map(self._columns.opened, self._cursor)


class _Connection:
    """A connection whose queries are decrypted."""

    __slots__ = ("plain",)

    def __init__(self, plain: Any) -> None:
        self.plain = plain

    def execute(self, sql: str, *arguments: Any) -> Any:
        cursor = self.plain.execute(sql, *arguments)
        return _Cursor(cursor, sql.columns) if isinstance(sql, _Text) and sql.columns.sealed else cursor


class _Writer:
    """The writer, whose lanes and bundles of the statements here are encrypted, as are what its calls read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database.writer, name)

    def lane(self, sql: str, settle: Any) -> Lane[Any]:
        return self._database.writer.lane(sql, settle)

    async def run(self, call: Callable[[Any], T], then: Callable[[T], None] | None = None) -> T:
        return await self._database.writer.run(lambda connection: call(_Connection(connection)), then)


class _Sealed:
    """All that a database is; see :class:`taskmill.sql.Database`."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self.plain = database
        self.keyring = keyring
        self.writer = _Writer(database)
        self._known: dict[
            ClauseElement, tuple[Callable[[Sequence[Row]], list[Any]], _Columns, list[int]]
        ] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in PASSED:
            raise AttributeError(
                f"{name} of a database that encrypts: see that nothing is written by it as it is"
            )
        return getattr(self.plain, name)

    def compile(self, statement: ClauseElement) -> str:
        return self._marked(statement, self.plain.compile(statement))

    def bind(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        text, arguments = self.plain.bind(statement, values)
        code, _, places = self._places(statement)
        if places:
            ((*arguments,),) = code([arguments])
        return self._marked(statement, text), arguments

    def change(self, connection: Any, sql: str, arguments: Sequence[Any]) -> int:
        return self.plain.change(_plain(connection), sql, arguments)

    def change_all(self, connection: Any, sql: str, rows: Sequence[Row]) -> None:
        self.plain.change_all(_plain(connection), sql, coded.stored(sql, rows))

    def serialize(self, connection: Any, name: str) -> None:
        self.plain.serialize(_plain(connection), name)

    def iterate(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
        found = self.plain.iterate(_plain(connection), sql, arguments)
        return _opened(found, sql.columns) if isinstance(sql, _Text) and sql.columns.sealed else found

    async def read(self, call: Callable[[Any], T]) -> T:
        return await self.plain.read(lambda connection: call(_Connection(connection)))

    async def write(self, call: Callable[[Transaction], T], then: Callable[[T], None] | None = None) -> T:
        database = cast(Database, self)
        return await self.writer.run(lambda connection: call(Transaction(database, connection)), then)

    def _marked(self, statement: ClauseElement, text: str) -> str:
        code, columns, places = self._places(statement)
        if not places and not columns.sealed:
            return text
        marked = _Text(text)
        marked.code, marked.columns = code, columns
        return marked

    def _places(
        self, statement: ClauseElement
    ) -> tuple[Callable[[Sequence[Row]], list[Any]], _Columns, list[int]]:
        """Find out which parameters of a statement, and which columns of its rows, are encrypted."""
        found = self._known.get(statement)
        if found is None:
            compiled = statement.compile(dialect=self.plain.core, compile_kwargs={"render_postcompile": True})
            assert isinstance(compiled, SQLCompiler)  # noqa: S101 - it is a query, or a change of rows
            places = [
                place
                for place, name in enumerate(compiled.positiontup or ())
                if name in compiled.binds and isinstance(compiled.binds[name].type, SealedText)
            ]
            code = partial(_sealed, self.keyring, places)
            found = self._known[statement] = code, _Columns(compiled, self.keyring), places
        return found


def sealed(database: Database, keyring: Keyring) -> Database:
    """Return a database as the task queue uses it: encrypted where it is stored, and nowhere else."""
    return cast(Database, _Sealed(database, keyring))


def encrypts(database: Database) -> bool:
    """Whether a database encrypts."""
    return isinstance(database, _Sealed)


def missing_key(database: Database, head: str) -> str | None:
    """Return the key that a text needs, by its first characters, and the database lacks."""
    key = key_named(head)
    has = isinstance(database, _Sealed) and key in database.keyring.keys
    return None if has else key


def stored(database: Database) -> Database:
    """Return a database as it is, of one that may decrypt: for what copies rows as they are stored."""
    return database.plain if isinstance(database, _Sealed) else database


def _plain(connection: Any) -> Any:
    return connection.plain if isinstance(connection, _Connection) else connection


def _opened(rows: Generator[Any], columns: _Columns) -> Generator[Any]:
    try:
        for row in rows:
            yield columns.opened(row)
    finally:
        rows.close()


def _sealed(keyring: Keyring, places: Iterable[int], rows: Sequence[Row]) -> list[Any]:
    changed = []
    for row in rows:
        values = list(row)
        for place in places:
            if values[place] is not None:
                values[place] = keyring.seal(values[place])
        changed.append(tuple(values))
    return changed
