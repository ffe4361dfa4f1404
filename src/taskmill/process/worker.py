"""The main program of a worker process: reads calls from a socket, runs them in order, answers each at once.

It imports little, so that a worker that died is replaced quickly.
"""

import ctypes
import faulthandler
import io
import os
import signal
import socket
import sys

from taskmill.process.asking import Inbox
from taskmill.process.asking import attach as attach_inbox
from taskmill.process.messages import (
    Completed,
    Failed,
    FunctionRef,
    NotRun,
    decode_calls,
    frame,
)
from taskmill.process.page import BEGUN, LAST, Page, attach, cancelled
from taskmill.process.runner import runner
from taskmill.process.voice import Voice
from taskmill.process.voice import attach as attach_voice

__all__ = ["cancelled"]  # for functions that run here: this program is also the module that they know

TEXT_LIMIT = 32 * 1024  # characters of a message or a traceback that are worth keeping
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the socket whose descriptor is the first argument, with the page whose descriptor is the second.

    The third is the parent's process id.
    """
    _die_with(int(sys.argv[3]))
    # Ctrl-C reaches the whole terminal: the parent decides what becomes of running calls.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.enable()  # a segmentation fault leaves a Python traceback on standard error
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)  # a program that a call starts must not keep it open
    page = Page(int(sys.argv[2]))
    os.close(int(sys.argv[2]))
    attach(page)
    if (place := os.environ.get("TASKMILL_SOURCES")) is not None:
        from taskmill.process.kept import load_from  # noqa: PLC0415 - where sources may be changed under way

        load_from(place)
    with connection:  # where a thread outlives this, the parent sees that nothing comes any more
        serve(connection, page)


def serve(connection: socket.socket, page: Page) -> None:
    """Run calls until the parent says that there are no more, or is gone.

    Those that it marks on the page before they begin are left out.
    """
    voice = Voice(connection)
    inbox, words, number = Inbox(connection, voice.send), page.words, 0
    attach_inbox(inbox)
    attach_voice(voice)
    not_run = frame(NotRun("cancelled"))
    while (batch := inbox.next_batch()) is not None:
        for function, payloads in decode_calls(batch):
            for payload in payloads:
                number += 1
                words[BEGUN] = number  # and only then the look at the marks: see `Page`
                if number <= words[LAST] and page.is_marked(number):
                    voice.send(not_run)
                else:
                    voice.send(_answer(function, payload))


def _answer(function: FunctionRef, payload: bytes) -> bytes:
    try:
        return frame(Completed(runner(function)(payload)))
    except BaseException as error:  # SystemExit ends the call that raised it, not its neighbours
        from traceback import format_exception  # noqa: PLC0415 - most workers never need it

        # The first frame of the traceback is this function, which tells the reader nothing.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        return frame(Failed(type(error).__qualname__, _text(error), _text("".join(format_exception(error)))))


def _text(value: object) -> str:
    """Return any object as text that is valid UTF-8 and not too long."""
    try:
        return str(value)[:TEXT_LIMIT].encode("utf-8", "backslashreplace").decode()
    except Exception:
        return f"<{type(value).__name__} that cannot be shown as text>"


def _die_with(parent: int) -> None:
    """Have Linux kill this process when its parent dies: an endless loop never sees the closed socket."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


if __name__ == "__main__":
    main()
