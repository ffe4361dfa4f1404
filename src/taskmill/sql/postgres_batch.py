"""Many rows as one statement: parameters as arrays, which `unnest` makes a table of.

One statement for a batch costs the server half of what one for each row does, and this process a quarter
(docs/performance.md). The arrays are written here, in PostgreSQL's binary format, since a driver looks at each value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import ClauseElement, Insert, Update, bindparam, column, func, insert, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.types import Integer, LargeBinary, Text

from taskmill.sql.postgres_text import DIALECT, storable

Row = tuple[Any, ...]
_Values = Sequence[Any]

_HEAD = struct.Struct(">iiiii")  # dimensions, whether there are NULLs, type, length, lower bound
_LENGTH = struct.Struct(">i")
_INT8 = struct.Struct(">iq")
_NULL = b"\xff\xff\xff\xff"
_BYTEA, _INT8_OID, _TEXT = 17, 20, 25  # the types' numbers


class Int8s(bytes):
    """An array of 64-bit integers in the binary format."""


class Texts(bytes):
    """An array of texts in the binary format."""


class Byteas(bytes):
    """An array of byte strings in the binary format."""


def int8s(values: _Values) -> Int8s:
    """Write integers as an array."""
    count = len(values)
    if None in values:
        parts = [_NULL if value is None else _INT8.pack(8, value) for value in values]
        return Int8s(_HEAD.pack(1, 1, _INT8_OID, count, 1) + b"".join(parts))
    flat = [8] * (2 * count)  # each value after its length
    flat[1::2] = values
    return Int8s(_HEAD.pack(1, 0, _INT8_OID, count, 1) + struct.pack(">" + "iq" * count, *flat))


def texts(values: _Values) -> Texts:
    """Write texts as an array."""
    return Texts(_strings(_TEXT, [None if value is None else _encoded(value) for value in values]))


def _encoded(text: str) -> bytes:
    encoded = text.encode()
    return storable(text).encode() if b"\0" in encoded else encoded


def byteas(values: _Values) -> Byteas:
    """Write byte strings as an array."""
    return Byteas(_strings(_BYTEA, values))


def _strings(oid: int, values: Sequence[bytes | None]) -> bytes:
    parts = [_HEAD.pack(1, 1, oid, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(_LENGTH.pack(len(value)))
            parts.append(value)
    return b"".join(parts)


def register(connection: Connection[Any]) -> None:
    """Teach a connection to send such arrays as they are."""
    for array, oid in ((Byteas, 1001), (Texts, 1009), (Int8s, 1016)):
        connection.adapters.register_dumper(array, _dumper(oid))


@cache
def _dumper(number: int) -> type[Dumper]:
    class AsItIs(Dumper):
        format = Format.BINARY
        oid = number

        def dump(self, obj: Any) -> Any:
            return obj

    return AsItIs


class Batch(NamedTuple):
    """A statement for many rows. Each of ``arguments`` is a column of the rows and what writes it, or a constant."""

    sql: str
    arguments: Sequence[tuple[int, Callable[[_Values], Any]] | Any]
    key: int | None  # the place of an id that two rows of one statement must not share

    def statements(self, rows: Sequence[Row]) -> Iterator[tuple[str, list[Any]]]:
        """Give the statement, with its arguments, for rows: more than once where a row is changed twice."""
        for part in self._rounds(rows):
            columns = list(zip(*part, strict=True))
            yield (
                self.sql,
                [one[1](columns[one[0]]) if isinstance(one, tuple) else one for one in self.arguments],
            )

    def _rounds(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        key = self.key
        while rows and key is not None:
            first: dict[Any, Row] = {}
            later = [row for row in rows if first.setdefault(row[key], row) is not row]
            yield list(first.values())
            rows = later
        if rows:
            yield rows


def batch_of(statement: ClauseElement) -> Batch:
    """Make the statement for many rows of one for a row, whose parameters are in the order of its text."""
    single = statement.compile(dialect=DIALECT)
    if not isinstance(single, SQLCompiler):
        raise TypeError("only changes of rows can be made in batches")
    places: dict[str, int] = {}
    for place, name in enumerate(single.positiontup or ()):
        places.setdefault(name, place)
    # What SQLAlchemy has added has a name of its own making: a constant.
    writers = {name: _writer(single.binds[name]) for name in places if single.binds[name].value is None}
    rows = (
        func.unnest(*map(bindparam, writers)).table_valued(*map(column, writers)).render_derived(name="rows_")
    )

    def of_row(element: Any, **_: Any) -> Any:
        if isinstance(element, BindParameter) and element.key in writers:
            return rows.c[element.key]
        return None

    many: Any
    if isinstance(statement, Insert) and statement.select is None:
        values = dict(statement._values or {})
        chosen = [of_row(value) if of_row(value) is not None else value for value in values.values()]
        many = insert(statement.table).from_select(list(map(str, values)), select(*chosen).select_from(rows))
    else:
        many = visitors.replacement_traverse(statement, {}, of_row)
    compiled = many.compile(dialect=DIALECT)
    arguments = [
        (places[name], writers[name]) if name in writers else compiled.params[name]
        for name in compiled.positiontup
    ]
    return Batch(str(compiled), arguments, places.get("id_") if isinstance(statement, Update) else None)


def _writer(parameter: BindParameter[Any]) -> Callable[[_Values], Any]:
    if isinstance(parameter.type, LargeBinary):
        return byteas
    if isinstance(parameter.type, Integer):
        return int8s
    if isinstance(parameter.type, Text):
        return texts
    raise TypeError(
        f"the parameter {parameter.key} has no type: give it one, as in bindparam(name, type_=Text)"
    )
