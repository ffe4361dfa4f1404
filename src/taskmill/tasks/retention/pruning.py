"""Pruning: rows are dropped in small steps with rests between, so that nobody waits for it.

A step is one call within a commit. What it takes on follows from how long the one before kept the writer busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from time import monotonic, perf_counter, time
from typing import Any, NamedTuple

from taskmill.sql import Database, Transaction
from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.retention import statements
from taskmill.tasks.retention.statements import Shelf

GOAL = 0.005  # seconds for which a step may keep the writer busy; it may come to twice as much
REST = 0.005  # seconds between two steps, at least,
LOOK_REST = 0.001  # seconds between two reads, which hold nobody up
RESTS = 3  # and so many times as long as the step took
PAGE = 4096  # bytes: what a long row costs is to free its pages
LOOK_FIRST, LOOK_ON = 16, 500  # rows in a read: mostly the first of them shows that nothing is to be done
EVER = 2**62  # milliseconds since 1970


class Stride:
    """How much one step takes on, between ``fewest`` and ``most``."""

    def __init__(self, fewest: int, most: int) -> None:
        self.amount = fewest
        self.steps = 0
        self.longest = 0.0  # seconds
        self._fewest = fewest
        self._most = most

    def took(self, seconds: float) -> float:
        """Learn from a step; return the seconds to rest after it."""
        self.steps += 1
        self.longest = max(self.longest, seconds)
        if seconds > GOAL:
            self.amount = max(self._fewest, int(self.amount * GOAL / seconds))
        elif seconds < GOAL / 2:
            self.amount = min(self._most, self.amount * 2)
        return max(REST, RESTS * seconds)


class Row(NamedTuple):
    """A row as a shelf's ``look`` reads it; ``at`` is the time that its age counts from."""

    id: bytes
    at: int
    size: int  # bytes

    @property
    def weight(self) -> int:
        """What it takes to drop it, measured in small rows."""
        return 1 + self.size // PAGE


class Stretch(NamedTuple):
    """Rows of a shelf from one id to another, both included."""

    shelf: Shelf
    first: bytes
    last: bytes


class Walk:
    """A way through a shelf, from the oldest id on."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.reached = b""
        self.begun = monotonic()


class Pruner:
    """Drops rows, one step at a time whoever asks for them."""

    def __init__(self, database: Database) -> None:
        self.stride = Stride(100, LOOK_ON)  # weights
        self._database = database
        self._turn = asyncio.Lock()

    async def prune(
        self, walk: Walk, before: int, going_on: Callable[[], bool] = lambda: True
    ) -> tuple[int, bool]:
        """Drop rows older than a time from where the walk stands; return how many, and whether that is all.

        It takes a step at least before it asks whether to go on.

        Ids grow with time and no row is younger than its id, so the walk ends at the first id that is not
        older, and begins there again. It may leave rows behind: of tasks that ended long after they were made.
        """
        count = 0
        limit = LOOK_FIRST
        while True:
            found = await self._look(walk.shelf, walk.reached, limit)
            rows = list(takewhile(_made_before(before), found))
            for part in self._parts([row for row in rows if row.at < before]):
                count += await self.drop([Stretch(walk.shelf, part[0].id, part[-1].id)], before)
                walk.reached = part[-1].id
                if not going_on():
                    return count, False
            if rows:
                walk.reached = rows[-1].id
            if len(rows) < limit:
                return count, True
            limit = LOOK_ON
            await asyncio.sleep(LOOK_REST)

    async def prune_oldest(self) -> int:
        """Drop the oldest ended tasks of all, in one step; return how many, which is 0 if there are none."""
        found: list[tuple[Row, Status]] = []
        seen = b"\xff" * 16  # up to here all are found
        for status in ENDED:
            rows = await self._look(statements.tasks(status), b"", LOOK_ON)
            found += [(row, status) for row in rows]
            if len(rows) == LOOK_ON:
                seen = min(seen, rows[-1].id)
        found.sort()
        first = next(self._parts([row for row, _ in found if row.id <= seen]), [])
        if not first:
            return 0
        last = first[-1].id
        ids: dict[Status, list[bytes]] = {}
        for row, status in found:
            if row.id <= last:
                ids.setdefault(status, []).append(row.id)
        stretches = [Stretch(statements.tasks(status), its[0], its[-1]) for status, its in ids.items()]
        return await self.drop(stretches, EVER)

    async def oldest(self) -> int | None:
        """Return when the oldest of the ended tasks was made."""
        heads = [await self._look(statements.tasks(status), b"", 1) for status in ENDED]
        return min((time_in(row.id) for rows in heads for row in rows), default=None)

    async def prune_keys(self, before: int) -> None:
        """Drop idempotency keys from before a time."""
        while True:
            limit = self.stride.amount
            drop = partial(Transaction.change, statement=statements.DROP_KEYS, before_=before, limit_=limit)
            count = await self._step(drop)
            if count < limit:
                return

    async def take_turn(self, stride: Stride, work: Callable[[], Awaitable[float]]) -> None:
        """Do another sort of work on the writer in turn with the steps here; it tells its seconds."""
        async with self._turn:
            await asyncio.sleep(stride.took(await work()))

    def _parts(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Divide rows into what one step may take on, at that moment, and a row at least."""
        part: list[Row] = []
        weight = 0
        for row in rows:
            if part and weight + row.weight > self.stride.amount:
                yield part
                part, weight = [], 0
            part.append(row)
            weight += row.weight
        if part:
            yield part

    async def _look(self, shelf: Shelf, after: bytes, limit: int) -> list[Row]:
        values = {**shelf.values, "after_": after, "limit_": limit}
        sql, arguments = self._database.bind(shelf.look, values)

        def call(connection: Any) -> list[Row]:
            return [Row(*row) for row in connection.execute(sql, arguments).fetchall()]

        return await self._database.read(call)

    async def drop(self, stretches: Sequence[Stretch], before: int) -> int:
        """Drop what of some stretches is older than a time, in one step; return how many rows that was."""
        now = int(time() * 1000)

        def call(transaction: Transaction) -> int:
            count = 0
            for shelf, first, last in stretches:
                values = {**shelf.values, "first_": first, "last_": last, "before_": before, "now_": now}
                count += [transaction.change(statement, **values) for statement in shelf.drop][-1]
            return count

        return await self._step(call)

    async def _step(self, call: Callable[[Transaction], int]) -> int:
        count = 0

        def timed(transaction: Transaction) -> float:
            nonlocal count
            began = perf_counter()
            count = call(transaction)
            return perf_counter() - began

        await self.take_turn(self.stride, lambda: self._database.write(timed))
        return count


def _made_before(before: int) -> Callable[[Row], bool]:
    """Tell ids from before a time from later ones.

    The clock may have been wrong: an id from the future says nothing of what comes after it.
    """
    now = int(time() * 1000)
    return lambda row: not before <= time_in(row.id) <= now
