"""A world for limits: rows, a queue and a consumer, in a time that passes only when nothing else is to be done."""

import asyncio
import heapq
import selectors
from collections.abc import Callable, Sequence
from typing import Any

from taskmill.process.messages import FunctionRef
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Registered
from taskmill.tasks.dispatch.edge import Position, place_of
from taskmill.tasks.dispatch.limits import Limits
from taskmill.tasks.message import Dispatchable, Place, TaskMessage, from_row

EPOCH = 1_700_000_000.0  # seconds since 1970 at the loop's zero
FAILED = OSError("no such disk")


class _Waiting(selectors.SelectSelector):
    """Does not wait: it lets the time pass."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("nothing will ever happen again: somebody waits for what does not come")
        self._passed(max(0.0, timeout))
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next thing to do."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Waiting(self._pass))

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        """Return the wall clock's time, as `time.time` does."""
        return EPOCH + self.now

    def _pass(self, seconds: float) -> None:
        self.now += seconds


class World:
    """One limited action, its tasks, and a consumer that holds so many of them, and starts each after a while.

    ``delays`` says how long each reading of rows takes, or that it fails; ``holds`` how long a task is in the
    consumer's reserve, and ``runs`` how long it runs.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        options: dict[str, Any],
        capacity: int,
        delays: Sequence[float | None],
        holds: Sequence[float],
        runs: Sequence[float],
    ) -> None:
        self._loop = loop
        self.registered = Registered(
            Action(lambda: None, "limited", **options), FunctionRef("x", "y", "", "")
        )
        self._capacity = capacity
        self._delays, self._holds, self._runs = delays, holds, runs
        self._reads = 0
        self.rows: dict[bytes, Dispatchable] = {}  # those that are queued
        self.started: list[tuple[float, int]] = []  # when, and which
        self.admitted: list[int] = []
        self.ended: set[int] = set()
        self.cancelled: set[int] = set()
        self.history: dict[bytes, list[float]] = {}
        self.held = 0
        self.at_once = self.most_at_once = self.most_known = 0
        self._known: set[bytes] = set()
        self._heap: list[tuple[int, bytes, TaskMessage]] = []
        self._pumping = False
        self.limits = Limits(self, {"tasks": self}, self._cancel)

    def commit(self, number: int) -> None:
        """Store a task, and hand it to its queue."""
        row = self._row(number)
        self.rows[row[0]] = row
        self._push(from_row(row, self.registered))
        self._pump()

    def cancel(self, number: int) -> None:
        """Cancel a task that is queued, if it is; it may still be in memory."""
        key = number.to_bytes(16)
        if key in self.rows and number not in self.admitted:
            del self.rows[key]
            self.cancelled.add(number)

    # What Limits asks of rows.

    async def limited(
        self, limit_key: str, after: Position, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], Position | None]:
        assert limit_key == "limited"
        found = sorted(
            (
                row
                for row in self.rows.values()
                if _position(row) > after and number_of(row[0]) not in self.admitted
            ),
            key=_position,
        )[:limit]
        await self._delay()  # what is committed meanwhile was not seen
        return found, _position(found[-1]) if len(found) == limit else None

    async def starts(self, limit_key: str, since: int, limit: int) -> list[int]:
        del limit_key
        await self._delay()
        recent = [int((EPOCH + at) * 1000) for at, _ in self.started]
        return [at for at in recent if at > since][-limit:]

    # What Limits asks of a home.

    def readmit(self, messages: Sequence[TaskMessage]) -> None:
        for message in messages:
            self._push(message)
        self._pump()

    def forget(self, message: TaskMessage) -> None:
        self._known.discard(message.key)

    def adopt(self, rows: Sequence[Dispatchable]) -> list[TaskMessage]:
        messages = [from_row(row, self.registered) for row in rows if row[0] not in self._known]
        self._known.update(message.key for message in messages)
        return [message for message in messages if number_of(message.key) not in self.ended]

    def _push(self, message: TaskMessage) -> None:
        heapq.heappush(self._heap, (*place_of(message), message))
        self._known.add(message.key)
        self.most_known = max(self.most_known, len(self._known))

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        while self._heap and self.held < self._capacity:
            message = heapq.heappop(self._heap)[2]
            if message.key not in self.rows:  # cancelled
                self.forget(message)
                self.limits.pass_over(message)
            elif self.limits.admit(message):
                self._take(message)
        self._pumping = False

    def _take(self, message: TaskMessage) -> None:
        number = number_of(message.key)
        self.admitted.append(number)
        self.held += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._loop.call_later(_of(self._holds, number), self._start, message)

    def _start(self, message: TaskMessage) -> None:
        number = number_of(message.key)
        message.started_at = int(self._loop.wall() * 1000)
        self.started.append((self._loop.now, number))
        self._loop.call_later(_of(self._runs, number), self._end, message)

    def _end(self, message: TaskMessage) -> None:
        self.held -= 1
        self.at_once -= 1
        self.ended.add(number_of(message.key))
        self.rows.pop(message.key, None)
        self._known.discard(message.key)
        self.limits.release(message)
        self._pump()

    async def _delay(self) -> None:
        delay = _of(self._delays, self._reads)
        self._reads += 1
        await asyncio.sleep(delay or 0.01)
        if delay is None:
            raise FAILED

    def _cancel(self, message: TaskMessage, why: str) -> None:
        raise AssertionError(f"nothing is to be cancelled where tasks wait: {why}")

    def _row(self, number: int) -> Dispatchable:
        return (
            number.to_bytes(16),
            "limited",
            "{}",
            0,
            3,
            "tasks",
            number,
            0,
            None,
            None,
            None,
            "limited",
            None,
        )


def number_of(key: bytes) -> int:
    return int.from_bytes(key)


def message(registered: Registered, number: int) -> TaskMessage:
    """Make a message of the limit."""
    place = Place("tasks", number, 3, limit_key="limited")
    return TaskMessage(number.to_bytes(16), "limited", registered, "{}", place=place)


def _position(row: Dispatchable) -> Position:
    return (row[6] or 0, row[0])


def _of(values: Sequence[Any], number: int) -> Any:
    return values[number % len(values)]
