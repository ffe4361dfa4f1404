"""Actions that end as a test says, worker processes in its hands, and a client that asks for tasks."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from taskmill import Fail, Retry, action, current_task
from taskmill.http import Exchange
from taskmill.process.child import Call
from taskmill.process.messages import FunctionRef, Killed, NotRun, Outcome
from taskmill.process.pool import WorkerPool


@dataclass(eq=False)
class Run:
    """One run of an action on the loop, which waits for the test."""

    id: str
    attempt: int
    door: "asyncio.Future[str]"
    stubborn: bool


@dataclass
class Doors:
    """What the actions below meet: it is the test's."""

    runs: list[Run] = field(default_factory=list)
    waited: set[tuple[str, int]] = field(default_factory=set)  # attempts that were not counted once
    open: bool = False  # all go through at once
    closing: bool = False  # nobody is stubborn any more


doors = Doors()


async def _wait(stubborn: bool) -> str:
    mine = current_task()
    if doors.open:
        return mine.id
    run = Run(mine.id, mine.attempt, asyncio.get_running_loop().create_future(), stubborn)
    doors.runs.append(run)
    try:
        while True:
            try:
                return await asyncio.shield(run.door)
            except asyncio.CancelledError:
                if not stubborn or doors.closing:
                    raise
    finally:
        if run in doors.runs:
            doors.runs.remove(run)


@action(backoff=["10s", "60s"])
async def waits(stubborn: bool = False) -> str:
    return await _wait(stubborn)


@action(concurrency=1, backoff=5, max_attempts=2)
async def alone(stubborn: bool = False) -> str:
    return await _wait(stubborn)


@action(inline=True, backoff=[0, "30s"])
def at_once(plan: str = "") -> str:
    """Do what stands in the plan for this attempt: f(ails), r(etries), w(aits uncounted), e(nds), or succeed."""
    mine = current_task()
    letter = plan[mine.attempt - 1 : mine.attempt] or "."
    if letter == "f":
        raise ValueError("planned")
    if letter == "r":
        raise Retry(after=3)
    if letter == "w" and (mine.id, mine.attempt) not in doors.waited:
        doors.waited.add((mine.id, mine.attempt))
        raise Retry(after="2s", counts=False)
    if letter == "e":
        raise Fail("planned")
    return mine.id


@action(backoff=1)
def isolated() -> str:
    raise AssertionError("runs in the pool alone")


class Pool(WorkerPool):
    """Worker processes in a test's hands: batches, of which the first call is the one that runs."""

    def __init__(self) -> None:
        self.batches: list[deque[Call]] = []
        self.stopped = False

    def preload(self, functions: Sequence[FunctionRef]) -> None:
        """Nothing to load: no process runs."""

    def submit(self, calls: Sequence[Call]) -> None:
        if self.stopped:
            for call in calls:
                asyncio.get_running_loop().call_soon(call.done, NotRun("shutdown"))
        else:
            self.batches.append(deque(calls))

    def cancel(self, call: Call, grace: float = 0.0) -> bool:
        call.cancelled = True
        return True

    def answer(self, batch: int, outcome: Outcome) -> Call:
        """End the running call of a batch."""
        calls = self.batches[batch]
        call = calls.popleft()
        if not calls:
            self.batches.pop(batch)
        call.done(outcome)
        return call

    def shut_down(self) -> None:
        self.stopped = True
        batches, self.batches = self.batches, []
        for calls in batches:
            for number, call in enumerate(calls):
                call.done(NotRun("shutdown") if number else killed("shutdown"))


def killed(reason: Any) -> Killed:
    return Killed(reason, f"it was {reason}", None, None, 0)


class Asked(Exchange):
    """A submission, and its answer once there is one."""

    def __init__(self, body: dict[str, Any], key: str | None) -> None:
        self.sent = body
        self.key = key
        self.body = msgspec.json.encode(body)
        self.headers = [(b"content-type", b"application/json")]
        if key is not None:
            self.headers.append((b"idempotency-key", key.encode()))
        self.status = 0
        self.answer: dict[str, Any] = {}

    def reply(self, status: int, body: bytes, media_type: bytes = b"", headers: bytes = b"") -> None:
        assert not self.status, "answered twice"
        self.status = status
        self.answer = msgspec.json.decode(body)
