"""One worker process as its parent sees it: the calls it has, when it must answer, how it ended."""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from subprocess import DEVNULL, Popen

from msgspec import MsgspecError, Struct

from taskmill.process.messages import (
    CHUNK,
    Frames,
    FunctionRef,
    Killed,
    Outcome,
    Reason,
    decode_answer,
    frame,
)

NEVER = float("inf")
STDERR = 2
# Linux counts in what the parent held when it started the process: the figure is an upper bound.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes


class Call(Struct, eq=False):
    """One function to run in a worker process. `done` is called on the loop, once, and must be quick."""

    function: FunctionRef
    payload: bytes
    done: Callable[[Outcome], None]
    timeout: float | None = None  # seconds, from when the call is the running one
    cancelled: bool = False


class Child:
    """A worker process. Every method is called on the loop, and none waits.

    `calls` are those without an answer; the first is the one that runs. When the process has ended, `on_exit`
    is told how, and which calls had not begun; `ended` is true from a moment before that.
    """

    def __init__(self, on_exit: Callable[["Child", Killed, list[Call]], None]) -> None:
        self.calls: deque[Call] = deque()
        self.ended = False
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._unsent = bytearray()
        self._closing = False
        self._reason: Reason = "crashed"
        self._killed_for: Call | None = None
        self._unreached = False  # the first call never got to the process
        self._deadline = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _spawn(theirs.fileno())
            except OSError:
                self._socket.close()
                raise
        self.pid = self._process.pid
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        # A closed socket tells of the end too, but not while a process that a call forked holds it open.
        self._pidfd = os.pidfd_open(self.pid) if sys.platform == "linux" else None
        if self._pidfd is not None:
            self._loop.add_reader(self._pidfd, self._end)

    def send(self, calls: Sequence[Call]) -> None:
        """Give the process calls to run in this order, after those it has."""
        idle = not self.calls
        self.calls.extend(calls)
        if idle:
            self._watch()
        self._unsent += frame([(call.function, call.payload) for call in calls])
        if not self._flush() and idle:
            self._unreached = True

    def cancel(self, call: Call) -> None:
        """Stop a call by killing the process: now if the call runs, otherwise as soon as it does."""
        call.cancelled = True
        if self.calls[0] is call:
            self.kill("cancelled")

    def close(self) -> None:
        """Let the process end by itself, after the calls it has."""
        self._closing = True
        self._flush()

    def kill(self, reason: Reason) -> None:
        """End the process and all that it started."""
        if not self.ended:
            self._reason = reason
            self._killed_for = self.calls[0] if self.calls else None
            _kill(self.pid)

    def _flush(self) -> bool:
        """Write what can be written; return False if the process is gone."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
            return True
        except OSError:  # the readers are about to notice it
            self._unsent.clear()
            return False
        self._loop.remove_writer(self._socket)
        if self._closing:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
        return True

    def _readable(self) -> None:
        if not self._receive():
            self._end()

    def _receive(self) -> bool:
        """Handle the answers that are there; return False if no more can come."""
        running = self.calls[0] if self.calls else None
        data = b""
        try:
            while not data or len(data) == CHUNK:
                data = self._socket.recv(CHUNK)
                if not data:
                    return False
                for message in self._frames.feed(data):
                    answer = decode_answer(message)
                    self._finish(self.calls.popleft(), answer)
        except BlockingIOError:
            pass
        except (OSError, MsgspecError):  # the latter: a function wrote to a descriptor that is not its own
            return False
        if self.calls and self.calls[0] is not running:
            self._watch()
        return True

    def _finish(self, call: Call, outcome: Outcome) -> None:
        try:
            call.done(outcome)
        except Exception as error:  # a mistake in one callback must not cost other calls their outcomes
            self._loop.call_exception_handler({"message": "a call's `done` raised", "exception": error})

    def _watch(self) -> None:
        """Mind the timeout of the call that has become the running one."""
        call = self.calls[0]
        if call.cancelled:
            self.kill("cancelled")
        self._deadline = NEVER if call.timeout is None else self._loop.time() + call.timeout
        self._set_timer()

    def _set_timer(self) -> None:
        # One timer serves many short calls: it is set again only when it rings or would ring too late.
        if self._deadline < NEVER and (self._timer is None or self._timer.when() > self._deadline):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._receive():  # if it was the loop that was late, the answer is there to be read
            self._end()
        elif self.calls and self._loop.time() >= self._deadline:
            self.kill("timeout")
        elif self.calls:
            self._set_timer()

    def _end(self) -> None:
        """See to a process that has ended, or cannot be talked to any more."""
        if self.ended:
            return
        self.ended = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._receive()  # what it answered before it ended
        if self._timer is not None:
            self._timer.cancel()
        _kill(self.pid)  # what it started, if anything is left of it
        killed = self._killed(*_reap(self._process))
        self._socket.close()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        calls, self.calls = list(self.calls), deque()
        # The process may have been killed for a call that has answered since: then no call is to blame.
        blamed = not self._unreached and (self._reason == "crashed" or calls[:1] == [self._killed_for])
        self._on_exit(self, killed, calls[1:] if blamed else calls)
        if calls and blamed:
            self._finish(calls[0], killed)

    def _killed(self, code: int, peak_memory: int) -> Killed:
        names = {number.value: number.name for number in signal.Signals}
        name = names.get(-code, f"signal {-code}") if code < 0 else None
        how = f"was killed by {name}" if name else f"ended with exit code {code}"
        message = {
            "crashed": f"its worker process {how}; peak memory at most {peak_memory >> 20} MiB",
            "timeout": "it ran longer than its timeout and was killed",
            "cancelled": "it was cancelled while it ran, and killed",
            "shutdown": "the program stopped before it was done, and killed it",
        }[self._reason]
        return Killed(self._reason, message, name, None if name else code, peak_memory)


def _spawn(descriptor: int) -> Popen[bytes]:
    # A new interpreter, not a fork, which would carry databases and locks along. What functions print goes to
    # standard error: standard output is the parent's. A session of its own keeps the terminal's Ctrl-C away.
    return Popen(  # noqa: S603 - every argument is ours
        [sys.executable, "-P", "-m", "taskmill.process.worker", str(descriptor), str(os.getpid())],
        stdin=DEVNULL,
        stdout=STDERR,
        pass_fds=(descriptor,),
        start_new_session=True,
    )


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # in its first moments it leads no group yet
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _reap(process: Popen[bytes]) -> tuple[int, int]:
    """Return the exit code (negative: a signal) and the peak memory of a process that has ended."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:  # the program was started with SIGCHLD ignored: nobody can know
        process.returncode = 255
        return 255, 0
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * MAXRSS_UNIT
