"""Writing notes: what the attempts of this process say, once in a fifth of a second, and before they end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, Final

import msgspec

from taskmill.sql import Database, Lane, Transaction
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.notes import speaker
from taskmill.tasks.notes.said import EVERY, Said
from taskmill.tasks.notes.statements import ADD
from taskmill.tasks.notes.trimming import Trimming
from taskmill.tasks.rows import steps
from taskmill.tasks.rows.guarding import Guarded
from taskmill.tasks.rows.schema import note

logger = logging.getLogger(__name__)

Row = tuple[Any, ...]
_MICROSECONDS: Final = 1_000_000
_NAMES: Final = [f"{column.name}_" for column in note.c]


class Notes:
    """Keeps what attempts say until it is written, all of one attempt together; ``pending`` is what waits for that.

    A note is guarded as the end of an attempt is: one that comes late changes nothing. ``node`` is this node's id,
    where the database has several. ``written`` hears of tasks that have new notes.
    """

    def __init__(
        self,
        database: Database,
        node: Callable[[], bytes] | None,
        written: Callable[[Sequence[bytes]], None],
    ) -> None:
        self.pending: dict[TaskMessage, Said] = {}
        self._written = written
        self.trimming = Trimming(database)
        self._database = database
        statement = (steps.OWN if node is None else steps.SHARED).note
        lane: Lane[bytes] = database.writer.lane(database.compile(statement), self._stored)
        self._rows = lane if node is None else Guarded(lane, node)
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False
        self._thread = get_ident()

    def say(self, message: TaskMessage, progress: bytes | None, line: str | None) -> None:
        """Take a progress (JSON) or a line of the log of an attempt that runs in this process, from any thread."""
        at = int(time.time() * 1000)
        lines = () if line is None else ((at, line),)
        if get_ident() == self._thread:
            self._add(message, progress, lines, 0)
        else:
            self._database.writer.loop.call_soon_threadsafe(self._add, message, progress, lines, 0)

    def hear(self, messages: Sequence[TaskMessage], what: bytes) -> None:
        """Take what attempts in a worker process say, as :mod:`taskmill.tasks.notes.speaker` writes it."""
        by_id = {message.id(): message for message in messages}
        for id_, progress, lines, lost in speaker.decode(what):
            self._add(by_id[id_], progress, lines, lost)

    def last(self, message: TaskMessage) -> None:
        """Write what is left of an attempt whose end is written next."""
        said = self.pending.pop(message, None)
        if said is not None:
            self._write(message, said)

    def add(self, transaction: Transaction, key: bytes, attempt: int, said: Said) -> None:
        """In a transaction, write what an attempt says that is known to be its task's own."""
        row = values_of(key, self.number(), attempt, said)
        transaction.change(ADD, **dict(zip(_NAMES, row, strict=True)))

    def added(self, keys: Sequence[bytes]) -> None:
        """Hear that such a transaction is committed."""
        if keys:
            self.trimming.soon(keys)
            self._written(keys)

    def number(self) -> int:
        """Return the number of a new note: greater than all before."""
        now = int((time.time() + self._database.clock_offset) * _MICROSECONDS)
        self._number = max(self._number + 1, now)
        return self._number

    async def stop(self) -> None:
        """Write what is left."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()
        await self.trimming.stop()

    def _add(
        self, message: TaskMessage, progress: bytes | None, lines: Sequence[tuple[int, str]], lost: int
    ) -> None:
        said = self.pending.get(message)
        if said is None:
            said = self.pending[message] = Said()
            if self._timer is None:
                self._timer = self._database.writer.loop.call_later(EVERY, self._flush)
        said.add(progress, lines, lost)

    def _flush(self) -> None:
        self._timer = None
        pending = list(self.pending.items())
        self.pending.clear()
        for message, said in pending:
            self._write(message, said)

    def _write(self, message: TaskMessage, said: Said) -> None:
        if (redaction := message.registered.redaction) is not None:
            said = redaction.said(message.body, said)
        row = values_of(message.key, self.number(), message.attempt, said)
        self._rows.append((*row, message.key, message.attempt), message.key)

    def _stored(self, _: list[Row], keys: list[bytes], error: Exception | None) -> None:
        if error is None:
            self._failing = False
            self.added(keys)
        elif not self._failing:  # said once, until it works again
            self._failing = True
            logger.warning("progress and logs of tasks are lost, since they cannot be stored: %s", error)


def values_of(key: bytes, number: int, attempt: int, said: Said) -> Row:
    """Return a note as a row of its table."""
    progress = None if said.progress is None else said.progress.decode()
    log = msgspec.json.encode(list(said.lines)).decode() if said.lines else None
    return (key, number, attempt, progress, log, len(said.lines), said.size, said.lost)
