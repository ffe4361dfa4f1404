"""Starting a worker process."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, Popen
from tempfile import TemporaryFile

from taskmill.process.ending import kill_group, reap
from taskmill.process.page import SIZE

STDERR = 2


def launch(connection: int, page: int) -> tuple[Popen[bytes], int | None]:
    """Start a worker process that serves the one descriptor and shares the other; raise OSError.

    Linux gives a descriptor as well, which becomes readable when the process ends.
    """
    # A new interpreter, not a fork, which would carry databases and locks along. What functions print goes to
    # standard error: standard output is the parent's. A session of its own keeps the terminal's Ctrl-C away.
    process = Popen(  # noqa: S603 - every argument is ours
        [sys.executable, "-P", "-m", "taskmill.process.worker", str(connection), str(page), str(os.getpid())],
        stdin=DEVNULL,
        stdout=STDERR,
        pass_fds=(connection, page),
        start_new_session=True,
    )
    if sys.platform != "linux":
        return process, None
    try:
        return process, os.pidfd_open(process.pid)
    except OSError:  # there are too many open: nobody would see its end
        kill_group(process.pid)
        reap(process)
        raise


@contextmanager
def page_file() -> Iterator[int]:
    """Open a file that has no name and is as large as a page; raise OSError."""
    with open(os.memfd_create("page"), "r+b") if sys.platform == "linux" else TemporaryFile() as file:
        file.truncate(SIZE)
        yield file.fileno()
