"""The ledger: what callers have used, counted beside the tasks' own way, which it never touches.

What is submitted is noted in memory, and once a second looked at. Most tasks have ended by then, and are counted at
once; the others become open rows, which are looked at again, in turns, until they have ended. However a task ends, on
whichever node, its row says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, time
from typing import Final, NamedTuple

from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.rows import sharing
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.usage import statements

logger = logging.getLogger(__name__)

REST: Final = 1.0  # seconds between two rounds, at least,
SHARE: Final = 9  # and so many times as long as the one before took
TURN: Final = 5_000  # open rows that one round looks at
MOST: Final = (
    200_000  # tasks that wait in memory for a round; beyond them callers' tasks are counted, not followed
)
IDLE: Final = (
    60.0  # seconds between looks at the open rows while there are none: another node may have left some
)
DAY: Final = 86_400_000  # milliseconds


class Spent(NamedTuple):
    """What a task has come to: its status, or none if it was pruned, and the milliseconds for which it ran."""

    status: Status | None
    milliseconds: int


class Ledger:
    """Counts by caller and day. ``keep`` (days) is for how long."""

    def __init__(self, database: Database, keep: int) -> None:
        self._database = database
        self._reader = Reader(database)
        self._keep = keep
        self._fresh: list[tuple[bytes, str]] = []
        self._cursor = b""
        self._look_at = 0.0  # when to look at the open rows, by the monotonic clock
        self._forgotten = 0  # the day on which old ones were forgotten
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def submitted(self, caller: str, keys: Iterable[bytes]) -> None:
        """Note tasks that a caller has submitted, once they are stored."""
        self._fresh += [(key, caller) for key in keys]

    def start(self) -> None:
        """Begin to count."""
        self._task = asyncio.create_task(self._run(), name="count usage")

    async def stop(self) -> None:
        """Count what has been noted, and no more."""
        task, self._task = self._task, None
        if task is not None:
            self._stopping.set()
            await asyncio.wait([task])

    async def round(self) -> None:
        """Count what is new, and those of the open tasks that have ended.

        Raises:
            DatabaseError: nothing was counted that is not still to be counted.
        """
        fresh, self._fresh = self._fresh[:MOST], self._fresh[MOST:]
        try:
            await self._count_fresh(fresh)
        except BaseException:
            self._fresh = fresh + self._fresh
            raise
        if monotonic() >= self._look_at:
            self._look_at = 0.0 if await self._count_open() else monotonic() + IDLE
        today = int(time() * 1000) // DAY
        if today != self._forgotten:
            await self._database.write(lambda one: one.change(statements.FORGET, day_=today - self._keep))
            self._forgotten = today

    async def _run(self) -> None:
        loop, rest = asyncio.get_running_loop(), REST
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(rest):
                    await self._stopping.wait()
            except TimeoutError:
                pass
            began = loop.time()
            try:
                await self.round()
            except (DatabaseError, Overloaded) as error:
                logger.warning("usage cannot be counted now, trying again: %s", error)
            except Exception:  # whatever it is, the next round is to be
                logger.exception("usage cannot be counted")
            rest = max(REST, SHARE * (loop.time() - began))

    async def _count_fresh(self, fresh: Sequence[tuple[bytes, str]]) -> None:
        if not fresh:
            return
        ended = await self._ended([key for key, _ in fresh])
        left = [(key, caller) for key, caller in fresh if key not in ended]
        counts = _Counts()
        for key, caller in fresh:
            counts.submitted(caller, key)
            if key in ended:
                counts.ended(caller, key, ended[key])

        def call(transaction: Transaction) -> None:
            for key, caller in left:
                transaction.change(statements.OPEN, id_=key, caller_=caller)
            counts.write(transaction)

        await self._database.write(call)
        if left:
            self._look_at = 0.0

    async def _count_open(self) -> bool:
        """Look at some of the open tasks, from where the round before came to; tell if there may be more."""
        for _ in range(TURN // sharing.MOST):
            values = {"id_": self._cursor, "limit_": sharing.MOST}
            rows = [
                (bytes(key), str(caller))
                for key, caller in await self._reader.read(statements.OPEN_AFTER, values)
            ]
            any_open = bool(rows or self._cursor)
            self._cursor = rows[-1][0] if len(rows) == sharing.MOST else b""
            ended = await self._ended([key for key, _ in rows])
            if ended:
                await self._close([(key, caller) for key, caller in rows if key in ended], ended)
            if not self._cursor:
                return any_open
        return True

    async def _close(self, rows: Sequence[tuple[bytes, str]], ended: Mapping[bytes, Spent]) -> None:
        def call(transaction: Transaction) -> None:
            counts = _Counts()
            for key, caller in rows:
                if transaction.change(statements.CLOSE, id_=key):  # no other node has counted it
                    counts.ended(caller, key, ended[key])
            counts.write(transaction)

        await self._database.write(call)

    async def _ended(self, keys: Sequence[bytes]) -> dict[bytes, Spent]:
        """Return which of some tasks have ended, or are there no more."""
        found: dict[bytes, Spent] = {}
        for first in range(0, len(keys), sharing.MOST):
            part = keys[first : first + sharing.MOST]
            count, values = sharing.keys(part)
            rows = {bytes(row[0]): row[1:] for row in await self._reader.read(statements.ends(count), values)}
            over = [key for key in part if key not in rows or rows[key][0] in _ENDED]
            again = [key for key in over if key not in rows or (rows[key][0], rows[key][3]) != _AT_ONCE]
            spent = await self._spent(again) if again else {}
            for key in over:
                found[key] = _came_to(rows.get(key), spent.get(key, 0))
        return found

    async def _spent(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return for how many milliseconds the failed attempts of tasks ran."""
        count, values = sharing.keys(keys)
        return {bytes(key): int(ran) for key, ran in await self._reader.read(statements.spent(count), values)}


_ENDED = frozenset(status.value for status in ENDED)


_AT_ONCE = (Status.COMPLETED.value, 1)  # by the first attempt: none has failed


def _came_to(row: tuple[int, int | None, int | None, int] | None, failed: int) -> Spent:
    if row is None:
        return Spent(None, failed)
    status, started, finished = Status(row[0]), row[1], row[2]
    last = finished - started if status is Status.COMPLETED and started and finished else 0
    return Spent(status, max(0, failed) + max(0, last))


class _Counts:
    """What is added to the days of callers. The day is that of the submission, as the task's id has it."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[int, str], dict[str, int]] = defaultdict(
            lambda: dict.fromkeys(statements.COUNTS, 0)
        )

    def submitted(self, caller: str, key: bytes) -> None:
        self._of[time_in(key) // DAY, caller]["submitted"] += 1

    def ended(self, caller: str, key: bytes, spent: Spent) -> None:
        counts = self._of[time_in(key) // DAY, caller]
        counts["milliseconds"] += spent.milliseconds
        if spent.status is not None:
            counts[spent.status.word] += 1

    def write(self, transaction: Transaction) -> None:
        if not self._of:
            return
        transaction.serialize("usage")
        for (day, caller), counts in sorted(self._of.items()):
            values = {"day_": day, "caller_": caller, **{f"{name}_": count for name, count in counts.items()}}
            if not transaction.change(statements.ADD, **values):
                transaction.change(statements.BEGIN, **values)
