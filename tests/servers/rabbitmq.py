"""A RabbitMQ node of its own, and the port mapper (epmd) that Erlang wants beside it: both on the loopback only."""

import shutil
import signal
import socket
import subprocess
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from support import eventually, require

from servers.server import ServerProcess, free_port

USER = "taskmill"
PASSWORD = "s3cret/with:marks@"  # what a url must quote

# Debian's wrapper in the path insists on the user `rabbitmq` and its directories; this one does not.
_SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
# Small, since many tests share a machine.
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 67108864
log.console = true
log.console.level = warning
log.file = false
"""


def rabbitmq_script() -> str:
    """Return what starts RabbitMQ; without it, skip at the desk and fail in CI."""
    script = _SCRIPT if Path(_SCRIPT).exists() else shutil.which("rabbitmq-server")
    return require(script and shutil.which("epmd") and script, "RabbitMQ: apt-get install rabbitmq-server")


class RabbitServer(ServerProcess):
    """One node with its data in a directory. ``settings`` are lines of `rabbitmq.conf`, which count last."""

    start_timeout = 90.0

    def __init__(self, directory: Path, *settings: str) -> None:
        super().__init__(directory)
        self._settings = settings
        self._script = rabbitmq_script()
        self._mapper_port = free_port()
        self._distribution_port = free_port()
        self._mapper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """Return the url with another port, such as a proxy's."""
        return f"amqp://{USER}:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{port}/"

    def command(self) -> Sequence[str]:
        return [self._script]

    def environment(self) -> Mapping[str, str]:
        home = str(self.directory)
        return {
            "HOME": home,  # where the cookie is kept
            "RUNNING_UNDER_SYSTEMD": "1",  # becomes the node instead of watching it from a shell
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"taskmill{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/no-such-file",
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{home}/generated",
        }

    def prepare(self) -> None:
        super().prepare()
        (self.directory / "rabbitmq.conf").write_text(
            "\n".join(
                [_CONFIGURATION.format(port=self.port, user=USER, password=PASSWORD), *self._settings, ""]
            )
        )
        # How often it looks for acknowledgements that are overdue, in milliseconds: a minute, usually.
        (self.directory / "advanced.config").write_text("[{rabbit, [{channel_tick_interval, 500}]}].")
        (self.directory / "enabled_plugins").write_text("[].")
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                ["epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            eventually(lambda: _listens(self._mapper_port))

    def answers(self) -> bool:
        """Whether it greets as AMQP 0-9-1 does: it listens a while before it is up."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
        return False

    def stop(self) -> None:
        """End the node politely, and the port mapper."""
        self.thaw()
        self.signal(signal.SIGTERM)
        self._wait(60)
        self.close()

    def close(self) -> None:
        """End the node at once, and the port mapper, which :meth:`kill` leaves for the next start."""
        self.kill()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait(10)
            self._mapper = None


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
