"""A stream of lines that become tasks, and the lines of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import NamedTuple

import msgspec

from taskmill.http import BadRequest, FieldError
from taskmill.sql import DatabaseError, Overloaded
from taskmill.tasks.bulk.batch import Wanted
from taskmill.tasks.bulk.bulk import Bulk, Refused, keyed, why
from taskmill.tasks.bulk.lines import LineTooLong, portions
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake.once import NotUnique, Submitted

AHEAD = 2  # portions that are read and not answered yet
LINE = 2**20  # bytes of a line
PATIENCE = 30.0  # seconds for which a stream waits for room
LOOK = 0.1  # seconds between looks whether there is room again

_encode = msgspec.json.encode


class Why(NamedTuple):
    """Why a line becomes no task: in words, as a status of HTTP, and by its fields."""

    text: str
    status: int = 400
    errors: Sequence[FieldError] = ()

    @classmethod
    def of(cls, refused: Refused) -> Why:
        """Return why a task is not to be stored beside those that are there."""
        return cls(why(refused), 409 if isinstance(refused, NotUnique) else 422)


class Stream:
    """Lines that become tasks, and the lines of the answer."""

    def __init__(self, bulk: Bulk, key: str | None, brief: bool) -> None:
        self._bulk = bulk
        self._key = key
        self._brief = brief
        self._line = 0  # of those that were read
        self._stored = 0
        self._errors = 0
        self._replayed = 0

    async def answers(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Give the answers to each portion of lines once it is stored; the next ones are read meanwhile."""
        under_way: asyncio.Queue[Awaitable[bytes] | None] = asyncio.Queue()
        room = asyncio.Semaphore(AHEAD)
        reading = asyncio.create_task(self._read(chunks, under_way, room))
        reading.add_done_callback(lambda _: under_way.put_nowait(None))
        try:
            while (portion := await under_way.get()) is not None:
                yield await portion
                room.release()
            yield await reading + (self._summary() if self._brief else b"")
        finally:
            reading.cancel()

    async def _read(
        self,
        chunks: AsyncIterator[bytes],
        under_way: asyncio.Queue[Awaitable[bytes] | None],
        room: asyncio.Semaphore,
    ) -> bytes:
        """Begin to store one portion of lines after the other; return the last line of the answer, if there is one."""
        try:
            async for lines in portions(chunks, LINE):
                await room.acquire()
                await self._wait_for_room()
                under_way.put_nowait(asyncio.create_task(self._portion(lines)))
        except LineTooLong:
            return self._refuse(
                self._line + 1, Why(f"longer than {LINE >> 20} MiB: nothing after it was read", 413)
            )
        return b""

    async def _wait_for_room(self) -> None:
        for _ in range(int(PATIENCE / LOOK)):
            if not self._bulk.full:
                return
            await asyncio.sleep(LOOK)

    async def _portion(self, lines: list[bytes]) -> bytes:
        answers: list[bytes] = []
        places: list[int] = []  # of the tasks among the answers
        wanted: list[Wanted] = []
        first = self._line + 1
        self._line += len(lines)
        for number, line in enumerate(lines, first):
            if not line or line.isspace():
                continue
            try:
                one = self._bulk.read(line)
            except BadRequest as error:
                found = [f"{one.path}: {one.message}" for one in error.errors]
                why_ = Why("; ".join(found) or error.detail, error.status, error.errors)
                answers.append(self._refuse(number, why_))
            else:
                wanted.append(one if self._key is None else keyed(one, f"{self._key}:{number}", line))
                places.append(len(answers))
                answers.append(b"%d" % number)
        if wanted:
            await self._store(wanted, places, answers)
        return b"".join(answers)

    async def _store(self, wanted: list[Wanted], places: list[int], answers: list[bytes]) -> None:
        """Store what is wanted, and put its answers in the places where their line numbers stand."""
        for place, outcome in zip(places, await self._outcomes(wanted), strict=True):
            if isinstance(outcome, bytes):
                self._stored += 1
                answers[place] = b"" if self._brief else b'{"id":"%b"}\n' % to_text(outcome).encode()
            elif isinstance(outcome, Submitted):
                self._stored += 1
                self._replayed += outcome.replayed
                how = "replayed" if outcome.replayed else "duplicate"
                answers[place] = (
                    b"" if self._brief else _encode({"id": to_text(outcome.id), how: True}) + b"\n"
                )
            else:
                answers[place] = self._refuse(int(answers[place]), outcome)

    async def _outcomes(self, wanted: list[Wanted]) -> Sequence[bytes | Submitted | Why]:
        """Store what is wanted; return for each its id, what was there already, or why it is not stored."""
        if self._bulk.full:
            return [Why("not stored: as many tasks wait or run as may", 503)] * len(wanted)
        try:
            outcomes = await self._bulk.store_each(wanted)
        except (DatabaseError, Overloaded) as error:
            return [Why(f"not stored: {error}", 503)] * len(wanted)
        return [one if isinstance(one, bytes | Submitted) else Why.of(one) for one in outcomes]

    def _refuse(self, line: int, why: Why) -> bytes:
        self._errors += 1
        fields = {"errors": why.errors} if why.errors else {}
        return _encode({"line": line, "error": why.text, "status": why.status, **fields}) + b"\n"

    def _summary(self) -> bytes:
        replayed = {"replayed": self._replayed} if self._replayed else {}
        return _encode({"count": self._stored, "errors": self._errors, **replayed}) + b"\n"
