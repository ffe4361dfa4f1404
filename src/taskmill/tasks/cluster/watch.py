"""The watch: how the leader learns what has become of the tasks that it handed out to others.

The rows tell. They are looked at in batches, often while much happens, and the less the longer nothing does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from taskmill.sql import DatabaseError, Overloaded
from taskmill.tasks.cluster.outstanding import Entry, Outstanding
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.reader import Reader

logger = logging.getLogger(__name__)

SHORTEST: Final = 0.02  # seconds between two looks
LONGEST: Final = 0.1
FAILED: Final = 0.5  # seconds after one that failed
AT_ONCE: Final = 200  # tasks that wait, in one read

_UNDER_WAY = (Status.QUEUED, Status.RUNNING)


class Watch:
    """Looks after all that is outstanding, by queue. ``ended`` gets what has, as it was handed out.

    ``alone`` tells whether no other node is alive: of what it does itself this node hears without looking.
    """

    def __init__(
        self,
        reader: Reader,
        outstanding: Mapping[str, Outstanding],
        ended: Callable[[str, list[TaskMessage]], None],
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reader = reader
        self._outstanding = outstanding
        self._ended = ended
        self._alone = alone
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="watch what is handed out")

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def look(self) -> bool:
        """Look once; tell whether anything has changed."""
        changed = False
        for queue, outstanding in self._outstanding.items():
            away = [entry for entry in outstanding.entries.values() if not entry.here]
            claimed = [entry for entry in away if entry.claimed]
            waiting = [entry for entry in away if not entry.claimed]
            # They are claimed in about the order in which they were published: where none of some is, later ones
            # will not be either.
            changed |= await self._look(queue, outstanding, claimed)
            for first in range(0, len(waiting), AT_ONCE):
                if not await self._look(queue, outstanding, waiting[first : first + AT_ONCE]):
                    break
                changed = True
        return changed

    async def _look(self, queue: str, outstanding: Outstanding, entries: list[Entry]) -> bool:
        if not entries:
            return False
        rows = await self._reader.states([entry.message.key for entry in entries])
        states = {bytes(row[0]): row[1:] for row in rows}
        before = outstanding.unclaimed
        ended = list(_settle(outstanding, entries, states))
        if ended:
            self._ended(queue, ended)
        elif outstanding.unclaimed < before:
            outstanding.freed()
        return bool(ended) or outstanding.unclaimed != before

    async def _run(self) -> None:
        pause = SHORTEST
        while True:
            await asyncio.sleep(LONGEST if self._alone() else pause)
            try:
                pause = SHORTEST if await self.look() else min(LONGEST, 1.5 * pause)
            except (DatabaseError, Overloaded):  # others say so
                pause = FAILED
            except Exception:
                logger.exception("what is handed out cannot be looked after, trying again")
                pause = FAILED


def _settle(
    outstanding: Outstanding,
    entries: list[Entry],
    states: Mapping[bytes, tuple[int, bytes | None, int, int | None]],
) -> Iterator[TaskMessage]:
    """Note what rows say of tasks; give those whose attempt has ended."""
    for entry in entries:
        key = entry.message.key
        if outstanding.entries.get(key) is not entry or entry.here:
            continue  # it has ended, or been claimed here, meanwhile
        status, node, _, started_at = states.get(key, (None, None, 0, None))
        if status not in _UNDER_WAY:
            entry.message.started_at = started_at or 0
            outstanding.pop(key)
            yield entry.message
        elif node is None and status == Status.QUEUED:
            outstanding.unclaim(entry)
        else:
            outstanding.claim(entry)
            if status == Status.RUNNING:
                entry.message.started_at = started_at or 0
