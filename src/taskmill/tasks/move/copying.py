"""Copying rows from one database to another: all of them once, then those that have changed since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from time import monotonic
from typing import Any, Final

from sqlalchemy import Column, Table

from taskmill.sql import Database, Transaction
from taskmill.tasks.move import journal, tables
from taskmill.tasks.move.schema import NOTED, change
from taskmill.tasks.move.tables import LARGE, SMALL, Row, fitting

ROWS: Final = 2_000  # in one commit at most,
BYTES: Final = 4 * 2**20  # which take no more than about this
CHANGES: Final = 500  # in one round
REST: Final = 0.5  # of the time that a part took, for the tasks that are served meanwhile


class Copy:
    """Rows on their way from ``source`` to ``target``. ``copied`` counts those of the first time."""

    def __init__(self, source: Database, target: Database) -> None:
        self._source = source
        self._target = target
        self.copied = 0

    async def count(self) -> int:
        """Return how many rows there are to be copied."""
        return sum([await self._scalar(tables.count(table)) for table in LARGE])

    async def behind(self) -> int:
        """Return how many changes have not been copied."""
        return await self._scalar(tables.COUNT_CHANGES)

    async def all(self, begin: str) -> None:
        """Copy every large table, from the place on where a copy before this one was."""
        place = journal.decode_place(begin) if begin else journal.Place(LARGE[0].name)
        names = [table.name for table in LARGE]
        if not place.table:
            return
        values = place.values()
        for index in range(names.index(place.table), len(names)):
            following = names[index + 1] if index + 1 < len(names) else ""
            await self._table(LARGE[index], values, following)
            values = {}

    async def round(self) -> int:
        """Copy some of the rows that have changed; return how many changes that were."""
        sql, arguments = self._source.bind(tables.CHANGES, {"limit_": CHANGES})
        found = await self._source.read(partial(_fetch, sql, arguments))
        for table in LARGE:
            column, noted = NOTED[table.name]
            keys = [row[2] if noted == "id" else row[3] for row in found if row[1] == table.name]
            if keys:
                await self._refresh(table, table.c[column], list(dict.fromkeys(keys)))
        numbers = [row[0] for row in found]
        if numbers:
            await self._source.write(lambda transaction: _remove(transaction, change.c.number, numbers))
        return len(found)

    async def small(self) -> None:
        """Copy the small tables as they are now."""
        for table in SMALL:
            sql, arguments = self._source.bind(tables.every(table), {})
            rows = await self._source.read(partial(_fetch, sql, arguments))
            await self._target.write(partial(_clear, table))
            await self._insert(table, rows)

    async def clear(self) -> None:
        """Remove what has been copied."""
        for table in (*LARGE, *SMALL):
            await self._target.write(partial(_clear, table))

    async def _table(self, table: Table, values: dict[str, Any], following: str) -> None:
        """Copy a table, from a key on if ``values`` has one."""
        key = [tables.COLUMNS[table.name].index(column) for column in tables.key_of(table)]
        progress = self._target.compile(journal.PROGRESS)
        insertion = self._target.compile(tables.insertion(table))
        while True:
            began = monotonic()
            statement = tables.ordered(table, after=bool(values))
            rows = await self._source.read(self._some(statement, {**values, "limit_": ROWS}))
            last = [rows[-1][number] for number in key] if rows else []
            place = journal.encode_place(table.name, last) if rows else journal.encode_place(following, [])
            groups = [(progress, [(place, len(rows), journal.TARGET)])]
            if rows:
                groups.append((insertion, [fitting(table, row, self._target.shared) for row in rows]))
            await self._target.writer.store(groups)
            self.copied += len(rows)
            if not rows:
                return
            values = {f"key{number}_": part for number, part in enumerate(last)}
            await asyncio.sleep(REST * (monotonic() - began))

    def _some(self, statement: Any, values: dict[str, Any]) -> Callable[[Any], list[Row]]:
        sql, arguments = self._source.bind(statement, values)

        def call(connection: Any) -> list[Row]:
            rows: list[Row] = []
            size = 0
            with closing(self._source.iterate(connection, sql, arguments)) as found:
                for row in found:
                    rows.append(tuple(row))
                    size += sum(len(value) for value in row if isinstance(value, str | bytes))
                    if size >= BYTES:
                        break
            return rows

        return call

    async def _refresh(self, table: Table, column: Column[Any], keys: Sequence[Any]) -> None:
        """Have the rows of some keys be there as they are here now, or not at all."""
        statements = [
            self._source.bind(tables.among(column, size), values) for size, values in tables.parts(keys)
        ]

        def call(connection: Any) -> list[Row]:
            return [
                row for sql, arguments in statements for row in connection.execute(sql, arguments).fetchall()
            ]

        rows = await self._source.read(call)
        # Twice a row where a key fills a statement up: a set has it once.
        await self._target.write(lambda transaction: _remove(transaction, column, keys))
        await self._insert(table, list(dict.fromkeys(map(tuple, rows))))

    async def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            statement = self._target.compile(tables.insertion(table))
            await self._target.writer.store(
                [(statement, [fitting(table, row, self._target.shared) for row in rows])]
            )

    async def _scalar(self, statement: Any) -> int:
        sql, arguments = self._source.bind(statement, {})
        ((value,),) = await self._source.read(partial(_fetch, sql, arguments))
        return int(value)


def _fetch(sql: str, arguments: Sequence[Any], connection: Any) -> list[Row]:
    return [tuple(row) for row in connection.execute(sql, arguments).fetchall()]


def _clear(table: Table, transaction: Transaction) -> None:
    transaction.change(tables.clearing(table))


def _remove(transaction: Transaction, column: Column[Any], keys: Sequence[Any]) -> None:
    for size, values in tables.parts(keys):
        transaction.change(tables.removal(column, size), **values)
