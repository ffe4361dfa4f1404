"""Encrypting again what is stored, with the key that is the first now; or decrypting it.

Row by row in the order of their keys, some at a time, and each value only if it still is as it was read: so this may
run beside servers, where the database can be shared, and may be broken off and begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, Delete, Select, Table, Update, bindparam, delete, select, tuple_, update

from taskmill.sql import Database, Transaction
from taskmill.tasks.control.dead_letter import letter
from taskmill.tasks.rows.schema import attempt, note, seal_key, step, task
from taskmill.tasks.schedules.schema import schedule
from taskmill.tasks.sealing.column import SealedText
from taskmill.tasks.sealing.guard import USED
from taskmill.tasks.sealing.keys import PREFIX, Keyring, key_of

TABLES: Final = (task, attempt, note, step, schedule, letter)
AT_ONCE: Final = 50  # rows in one transaction

# Parameter: id.
_DROP: Delete = delete(seal_key).where(seal_key.c.id == bindparam("id_"))


class Part(NamedTuple):
    """Rows of a table: the key of the last, how many there were, and how many values of them were written anew."""

    last: tuple[Any, ...]
    rows: int
    written: int


class Again:
    """Writes anew what is not encrypted with the first key of a ring; without ``encrypt``, what is encrypted."""

    def __init__(self, database: Database, keyring: Keyring, *, encrypt: bool = True) -> None:
        self._database = database
        self._keyring = keyring
        self._key = keyring.first.id if encrypt else None

    async def run(self, told: Callable[[str, Part], None] = lambda _, __: None) -> int:
        """Go through all tables; ``told`` hears of each part. Returns how many values were written anew.

        Raises:
            KeyMissing: a key of something is not there. What was written until then stays.
        """
        written = 0
        for table in TABLES:
            after: tuple[Any, ...] = ()
            while (part := await self._part(table, after)) is not None:
                after = part.last
                written += part.written
                told(table.name, part)
        await self._database.write(self._forget)
        return written

    async def _part(self, table: Table, after: tuple[Any, ...]) -> Part | None:
        def call(transaction: Transaction) -> Part | None:
            rows = transaction.fetch(_page(table, bool(after)), limit_=AT_ONCE, **_keys(after))
            written = sum([self._write(transaction, table, row) for row in rows])
            return Part(_key_of(table, rows[-1]), len(rows), written) if rows else None

        return await self._database.write(call)

    def _write(self, transaction: Transaction, table: Table, row: Sequence[Any]) -> int:
        key = _key_of(table, row)
        written = 0
        for column, old in zip(_sealed(table), row[len(key) :], strict=True):
            new = self._anew(old)
            if new != old:
                written += transaction.change(_change(column), new_=new, old_=old, **_keys(key))
        return written

    def _anew(self, text: str | None) -> str | None:
        """Return a value as it is to be stored."""
        if text is None or (key_of(text) if text.startswith(PREFIX) else None) == self._key:
            return text
        plain = self._keyring.open(text)
        return plain if self._key is None else self._keyring.seal(plain)

    def _forget(self, transaction: Transaction) -> None:
        """Forget the keys that nothing is encrypted with any more."""
        for id_, _ in transaction.fetch(USED):
            if id_ != self._key:
                transaction.change(_DROP, id_=id_)


def _sealed(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, SealedText)]


def _key_of(table: Table, row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(row[: len(table.primary_key.columns)])


def _keys(values: Sequence[Any]) -> dict[str, Any]:
    return {f"key{number}_": value for number, value in enumerate(values)}


@cache
def _page(table: Table, after: bool) -> Select[Any]:
    """Read keys and what is encrypted, in the order of the keys. Parameters: limit; with ``after`` a key."""
    key = list(table.primary_key.columns)
    rows = select(*key, *_sealed(table)).order_by(*key).limit(bindparam("limit_"))
    if not after:
        return rows
    values = [bindparam(f"key{number}_", type_=column.type) for number, column in enumerate(key)]
    return rows.where(tuple_(*key) > tuple_(*values) if len(key) > 1 else key[0] > values[0])


@cache
def _change(column: Column[Any]) -> Update:
    """Write a value anew. Parameters: new, key, old."""
    table = column.table
    key = [one == bindparam(f"key{number}_") for number, one in enumerate(table.primary_key.columns)]
    return update(table).values({column.name: bindparam("new_")}).where(*key, column == bindparam("old_"))
