"""Speaking from within a worker process: what an action says often reaches the server a few times a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Final

import msgspec

from taskmill.process.voice import say
from taskmill.tasks.notes.said import Said

REST: Final = 0.1  # seconds between two frames

# The task's id, its progress, its lines, and how many lines were lost before them: of each task of the call.
Heard = list[tuple[str, bytes | None, list[tuple[int, str]], int]]

_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Heard).decode


class Speaker:
    """Sends what the tasks of a call say: the first at once, and what follows together, ``REST`` seconds later.

    Any thread may speak, until the call has ended; then what it says is dropped.
    """

    def __init__(self, send: Callable[[bytes], None] = say) -> None:
        self._send = send
        self._lock = Lock()
        self._call: object = None
        self._said: dict[str, Said] = {}
        self._next = 0.0
        self._held = Event()  # something waits for its time
        self._thread: Thread | None = None

    def begin(self) -> object:
        """Begin a call; return what names it."""
        self._call = call = object()
        return call

    def end(self) -> None:
        """Send what is left of the call, and let it say nothing more."""
        with self._lock:
            self._call = None
            if self._said:
                self._flush()

    def say(self, call: object, id_: str, progress: bytes | None, line: str | None) -> None:
        """Say something of a task: a progress (JSON), or a line of its log."""
        with self._lock:
            if call is not self._call:
                return
            said = self._said.get(id_)
            if said is None:
                said = self._said[id_] = Said()
            if progress is not None:
                said.progress = progress
            if line is not None:
                said.log(int(time.time() * 1000), line)
            if time.monotonic() >= self._next:
                self._flush()
            else:
                self._hold()

    def _flush(self) -> None:
        heard = [(id_, one.progress, list(one.lines), one.lost) for id_, one in self._said.items()]
        self._said.clear()
        self._next = time.monotonic() + REST
        self._send(_encode(heard))

    def _hold(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._later, name="taskmill-notes", daemon=True)
            self._thread.start()
        self._held.set()

    def _later(self) -> None:
        while self._held.wait():
            time.sleep(REST)
            self._held.clear()
            with self._lock:
                if self._said:
                    self._flush()
