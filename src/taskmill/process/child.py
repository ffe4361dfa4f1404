"""One worker process as its parent sees it: the calls it has, when it must answer, how it ended."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from msgspec import MsgspecError
from msgspec.structs import replace

from taskmill.process import proc
from taskmill.process.call import Call
from taskmill.process.connection import Connection
from taskmill.process.ending import MESSAGES, Cause, describe, kill_group, reap
from taskmill.process.launch import launch, page_file
from taskmill.process.messages import (
    CHUNK,
    Asked,
    Frames,
    FunctionRef,
    Killed,
    NotRun,
    Said,
    decode_answer,
    frame,
)
from taskmill.process.page import SLOTS, Page
from taskmill.process.watch import Watch

__all__ = ["Call", "Child", "Owner"]

LAST_WORDS = 0.1  # seconds that a process without a connection has to end by itself


class Owner(Protocol):
    """What hears of a worker process. Every method is called on the loop."""

    def answered(self, child: "Child") -> None:
        """Take note that the process has answered one or more calls."""

    def returned(self, calls: Sequence[Call]) -> None:
        """Find another place for calls that the process gave back without having begun them."""

    def ended(self, child: "Child", how: Killed, left: Sequence[Call]) -> None:
        """Take note that the process has ended, and find another place for the calls that it had not begun."""


class Child:
    """A worker process. Every method is called on the loop, and none waits.

    `calls` are those without an answer; the first is the one that runs, or is about to. `ended` is true from a
    moment before the owner hears of it.
    """

    def __init__(self, owner: Owner) -> None:
        self.calls: deque[Call] = deque()
        self.slow = 0  # so many of `calls` may take long
        self.answered = 0  # calls, so the first of `calls` has the number after it
        self.ended = False
        self.cause: Cause = "crashed"  # why it ended, or will
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._why = ""
        self._killed_for: Call | None = None
        self._marks: list[tuple[int, bool]] = []  # of calls too far behind for the page
        self._returned: list[Call] = []
        self._watch = Watch(self)
        ours, theirs = socket.socketpair()
        try:
            with theirs, page_file() as page:
                self._there = theirs.fileno(), os.fstat(theirs.fileno()).st_ino
                self._page = Page(page)
                self._process, self._pidfd = launch(theirs.fileno(), page)
        except OSError:
            ours.close()
            raise
        self.pid = self._process.pid
        self._connection = Connection(ours, self._receive)
        # A closed socket tells of the end too, but not while a process that a call forked holds it open.
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._end)

    @property
    def busy(self) -> bool:
        """Whether the first of `calls` has begun."""
        return self._page.begun > self.answered

    def send(self, calls: Sequence[Call]) -> None:
        """Give the process calls to run in this order, after those it has."""
        idle = not self.calls
        self.calls.extend(calls)
        self.slow += sum([not call.quick for call in calls])
        if idle:
            self._watch.begin(self.calls[0])
        self._connection.write(_batch(calls))

    def cancel(self, call: Call, grace: float) -> None:
        """Have a call skipped, or if it has begun, asked to end and killed `grace` seconds later."""
        call.cancelled, call.grace = True, grace
        self._mark(self.answered + 1 + self.calls.index(call), cancelled=True)
        if self.calls[0] is call:
            # Where a later one has begun, the answer to this one is there to be read.
            if grace <= 0 and self._page.begun == self.answered + 1:
                self.kill("cancelled")
            else:
                self._watch.hasten(grace)

    def retire(self) -> None:
        """Finish the call that has begun, give back the others, and end."""
        begun = max(self._page.begun, self.answered)
        for number, call in enumerate(self.calls, self.answered + 1):
            if number > begun and not call.cancelled:
                self._mark(number, cancelled=False)
        self.close()

    def close(self) -> None:
        """Let the process end by itself, after the calls it has."""
        self._connection.write(frame(None))  # the socket stays open: what still runs may ask, and is answered

    def kill(self, cause: Cause, why: str = "") -> None:
        """End the process and all that it started. What the first to kill it says is the running call's outcome."""
        if not self.ended and self.cause == "crashed":
            self.cause, self._why = cause, why
            self._killed_for = self.calls[0] if self.calls else None
            kill_group(self.pid)

    def check(self) -> None:
        """Notice that the process has its end of the socket no more, also where a process it forked holds it open."""
        if not self.ended and not proc.holds(self.pid, *self._there):
            self._receive()
            self._lose()

    def look(self) -> bool:
        """Handle the answers that are there, and tell whether another is waited for."""
        self._receive()
        return bool(self.calls) and not self.ended

    def _mark(self, number: int, *, cancelled: bool) -> None:
        # A mark may not take the place of one that is still to be read.
        if number <= self.answered + SLOTS:
            self._page.mark(number, cancelled=cancelled)
        else:
            self._marks.append((number, cancelled))

    def _mark_later_ones(self) -> None:
        marks, self._marks = self._marks, []
        for number, cancelled in marks:
            self._mark(number, cancelled=cancelled)

    def _lose(self) -> None:
        """See to a process that cannot answer any more: it is ending, or a function broke its connection."""
        self._connection.lose()
        if self._pidfd is None:
            self._end()
        else:
            self._loop.call_later(LAST_WORDS, self.kill, "lost")

    def _receive(self) -> None:
        """Handle the answers that are there."""
        answered, calls = self.answered, self.calls
        try:
            while data := self._connection.read():
                for message in self._frames.feed(data):
                    outcome = decode_answer(message)
                    if outcome.__class__ is Asked:
                        self._ask(outcome.question)
                        continue
                    if outcome.__class__ is Said:
                        self._hear(calls[0], outcome.what)
                        continue
                    call = calls.popleft()
                    self.slow -= not call.quick
                    self.answered += 1
                    if outcome.__class__ is NotRun and not call.cancelled:
                        self._returned.append(call)
                        continue
                    try:
                        call.done(outcome)
                    except Exception as error:
                        self._report(error)
                if self._marks:
                    self._mark_later_ones()
                if len(data) < CHUNK:
                    break
        except (MsgspecError, IndexError):  # a function wrote to a descriptor that is not its own
            self._connection.lose()
        if not self.ended:
            if self.answered != answered:
                self._go_on()
            if not self._connection.open:
                self._lose()

    def _ask(self, question: bytes) -> None:
        """Have what the running call asks be answered. A reply that comes too late is dropped."""

        def reply(answer: bytes) -> None:
            if not self.ended:
                self._connection.write(frame(answer))

        call = self.calls[0]
        if call.asked is None:  # nobody offered to
            reply(b"")
            return
        try:
            call.asked(call.payload, question, reply)
        except Exception as error:
            self._report(error)
            reply(b"")

    def _hear(self, call: Call, what: bytes) -> None:
        try:
            if call.said is not None:
                call.said(what)
        except Exception as error:
            self._report(error)

    def _go_on(self) -> None:
        """See to what follows from answers that came."""
        if self.calls:
            self._watch.begin(self.calls[0])
        if self._returned:
            returned, self._returned = self._returned, []
            self._owner.returned(returned)
        self._owner.answered(self)

    def _report(self, error: Exception) -> None:
        # A mistake in one callback must not cost other calls their outcomes.
        self._loop.call_exception_handler({"message": "a call's `done` raised", "exception": error})

    def _end(self) -> None:
        """See to a process that has ended, or cannot be talked to any more."""
        if self.ended:
            return
        self.ended = True
        self._receive()  # what it answered before it ended
        self._watch.close()
        kill_group(self.pid)  # what it started, if anything is left of it
        code, peak_memory = reap(self._process)
        killed = describe(self.cause, self._why, code, peak_memory)
        calls, self.calls = list(self.calls), deque()
        blamed = self._outcome(calls[0], killed) if calls and self.busy else None
        self._connection.close()
        self._page.close()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self._owner.ended(self, killed, [*self._returned, *calls[blamed is not None :]])
        if blamed is not None:
            try:
                calls[0].done(blamed)
            except Exception as error:
                self._report(error)

    def _outcome(self, running: Call, killed: Killed) -> Killed | None:
        """Return what the end of the process means for the call that ran; None if it shall run elsewhere."""
        if running is self._killed_for or self.cause not in {"timeout", "cancelled", "shutdown"}:
            return killed
        # The process was killed for a call that has answered since: this one is not to blame.
        if running.cancelled:
            return replace(killed, reason="cancelled", message=MESSAGES["cancelled"])
        return None


def _batch(calls: Sequence[Call]) -> bytes:
    """Return the frame for calls in their order. Neighbours of one function name it once."""
    groups: list[tuple[FunctionRef, list[bytes]]] = []
    function = None
    for call in calls:
        if call.function is not function:
            function, payloads = call.function, list[bytes]()
            groups.append((function, payloads))
        payloads.append(call.payload)
    return frame(groups)
