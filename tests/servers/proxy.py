"""A small TCP proxy: it cuts connections, lets one direction dry up, or delays what it passes on."""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from types import TracebackType
from typing import Literal

Direction = Literal["to server", "to client"]

CHUNK = 2**16
TICK = 0.01  # seconds


class Proxy:
    """Passes connections to a port of the loopback on to another one. A context manager: it runs within."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0  # seconds that each piece is held
        self.connections = 0  # how many have been made so far
        self._dry: set[Direction] = set()
        self._refusing = False
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TICK * 5)
        self.port: int = self._listener.getsockname()[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join(10)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection there is, in both directions."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.reset()

    def refuse(self, refusing: bool = True) -> None:
        """Reset every connection, and each new one at once, until ``refuse(False)``."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def dry(self, *directions: Direction) -> None:
        """Pass nothing on in these directions, and keep the connections: what comes is held until :meth:`flow`."""
        self._dry = set(directions)

    def flow(self) -> None:
        """Pass on in both directions, beginning with what was held."""
        self._dry = set()

    def _run(self) -> None:
        acceptor = threading.Thread(target=self._accept, daemon=True)
        acceptor.start()
        while not self._ending.is_set():
            with self._lock:
                pairs = list(self._pairs)
            moved = [pair.move(self._dry, self.delay) for pair in pairs]
            if not all(pair.open for pair in pairs):
                with self._lock:
                    self._pairs = [pair for pair in self._pairs if pair.open]
            if not any(moved):
                self._wait(pairs)
        acceptor.join(10)

    def _wait(self, pairs: "list[_Pair]") -> None:
        """Wait for something to move, or for a moment."""
        with selectors.DefaultSelector() as selector:
            for pair in pairs:
                for direction, source in pair.sources():
                    if direction not in self._dry:
                        with contextlib.suppress(OSError, ValueError, KeyError):
                            selector.register(source, selectors.EVENT_READ)
            selector.select(TICK)

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            self.connections += 1
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append(_Pair(client, server))


class _Pair:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.open = True
        self._client = client
        self._server = server
        self._held: dict[Direction, deque[tuple[float, bytes]]] = {"to server": deque(), "to client": deque()}
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sources(self) -> list[tuple[Direction, socket.socket]]:
        return [("to server", self._client), ("to client", self._server)]

    def move(self, dry: set[Direction], delay: float) -> bool:
        """Pass on what may be passed on now; tell whether anything moved."""
        moved = False
        for direction, source in self.sources():
            if direction in dry or not self.open:
                continue
            target = self._server if direction == "to server" else self._client
            try:
                moved = self._read(direction, source, delay) or moved
                moved = self._write(direction, target) or moved
            except OSError:
                self.reset()
        return moved

    def reset(self) -> None:
        """End it as a cable that breaks does not, and a firewall does: at once, with a reset."""
        self.open = False
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            end.close()

    def _read(self, direction: Direction, source: socket.socket, delay: float) -> bool:
        if sum(len(piece) for _, piece in self._held[direction]) > 64 * CHUNK:
            return False
        try:
            piece = source.recv(CHUNK)
        except BlockingIOError:
            return False
        if not piece:
            raise OSError("one end has closed")
        self._held[direction].append((time.monotonic() + delay, piece))
        return True

    def _write(self, direction: Direction, target: socket.socket) -> bool:
        held, moved = self._held[direction], False
        while held and held[0][0] <= time.monotonic():
            due, piece = held.popleft()
            try:
                sent = target.send(piece)
            except BlockingIOError:
                sent = 0
            moved = moved or sent > 0
            if sent < len(piece):
                held.appendleft((due, piece[sent:]))
                break
        return moved
