"""The parent's end of the socket to a worker process: nothing here waits."""

import asyncio
import socket
from collections.abc import Callable

from taskmill.process.messages import CHUNK


class Connection:
    """Writes as much as the socket takes, the rest when it takes more, and reads what is there.

    `open` is false once nothing more can come. An error of writing is not told: reading tells of it too.
    """

    def __init__(self, ours: socket.socket, on_readable: Callable[[], None]) -> None:
        self.open = True
        self._socket = ours
        self._unsent = bytearray()
        self._full = False  # the socket: the loop tells when it takes more
        self._loop = asyncio.get_running_loop()
        ours.setblocking(False)
        self._loop.add_reader(ours, on_readable)

    def write(self, data: bytes) -> None:
        """Send bytes after those before them."""
        self._unsent += data
        self._flush()

    def read(self) -> bytes:
        """Return what has come, up to CHUNK bytes; empty if there is nothing now, or ever again."""
        if self.open:
            try:
                if data := self._socket.recv(CHUNK):
                    return data
            except BlockingIOError:
                return b""
            except OSError:
                pass
            self.lose()
        return b""

    def lose(self) -> None:
        """Read no more: what comes cannot be understood, or nothing does."""
        self.open = False
        self._loop.remove_reader(self._socket)

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
            self._full = True
            return
        except OSError:
            self._unsent.clear()
        if self._full:
            self._loop.remove_writer(self._socket)
            self._full = False
