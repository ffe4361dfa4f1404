"""A MariaDB server of its own, of the system's programs, run by an unprivileged user, on the loopback only."""

import os
import pwd
import shutil
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pymysql
from support import require

from servers.server import ServerProcess

HINT = "MariaDB: apt-get install mariadb-server"
USER = "taskmill"
PASSWORD = "s3cret/wïth:märks@'"  # what a url must quote, and SQL
_SETTINGS = {
    "bind-address": "127.0.0.1",
    "max-allowed-packet": "64M",
    "innodb-buffer-pool-size": "64M",
    "max-connections": "200",
    "skip-name-resolve": "ON",
    "skip-log-bin": "ON",
}


class MariadbServer(ServerProcess):
    """A server with its data in a directory, which everybody must be able to enter. Options are those of `mariadbd`."""

    def __init__(self, directory: Path, **settings: str) -> None:
        super().__init__(directory)
        self._program = require(shutil.which("mariadbd"), HINT)
        self._install = require(shutil.which("mariadb-install-db"), HINT)
        self._settings = {**_SETTINGS, **{name.replace("_", "-"): value for name, value in settings.items()}}
        self._numbers = count(1)
        self._as_user: list[str] = []
        self._user: pwd.struct_passwd | None = None
        if os.geteuid() == 0:
            self._user = pwd.getpwnam("nobody")
            setpriv = require(shutil.which("setpriv"), "setpriv, of the package util-linux")
            self._as_user = [
                setpriv,
                f"--reuid={self._user.pw_uid}",
                f"--regid={self._user.pw_gid}",
                "--clear-groups",
            ]

    @property
    def url(self) -> str:
        return self.url_of("taskmill_shared")

    def url_of(self, database: str, port: int | None = None, password: str = PASSWORD) -> str:
        """Return the url of a database, with another port where that is a proxy's."""
        return (
            f"mysql://{USER}:{urllib.parse.quote(password, safe='')}@127.0.0.1:{port or self.port}/{database}"
        )

    def command(self) -> Sequence[str]:
        files = {"datadir": self._data, "socket": self._data / "socket", "pid-file": self._data / "pid"}
        settings = {**self._settings, **files, "port": self.port}
        return [*self._as_user, self._program, "--no-defaults", *[f"--{k}={v}" for k, v in settings.items()]]

    def prepare(self) -> None:
        super().prepare()
        if self._data.exists():
            return
        self._data.mkdir()
        if self._user is not None:
            os.chown(self._data, self._user.pw_uid, self._user.pw_gid)
        subprocess.run(
            [
                *self._as_user, self._install, "--no-defaults", f"--datadir={self._data}", "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            check=True,
            cwd=self._data,
            capture_output=True,
            timeout=120,
        )  # fmt: skip

    def answers(self) -> bool:
        try:
            self.execute(f"CREATE USER IF NOT EXISTS {USER}@'127.0.0.1' IDENTIFIED BY %s", PASSWORD)
            self.execute(f"GRANT ALL ON `taskmill\\_%%`.* TO {USER}@%s", "127.0.0.1")
        except pymysql.Error:
            return False
        return True

    def create(self) -> str:
        """Make an empty database; return its url."""
        name = f"taskmill_{os.getpid()}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever still uses it."""
        name = url.rpartition("/")[2]
        for (number,) in self.execute("SELECT id FROM information_schema.processlist WHERE db = %s", name):
            try:
                self.execute(f"KILL {number}")
            except pymysql.OperationalError as error:
                if error.args[0] != 1094:  # it has ended by itself
                    raise
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def execute(self, sql: str, *values: object) -> tuple[Any, ...]:
        """Run a statement of the administrator, and return its rows."""
        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", autocommit=True, connect_timeout=5, read_timeout=30
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return tuple(cursor.fetchall())

    @property
    def _data(self) -> Path:
        return self.directory / "data"


@contextmanager
def mariadb_server(**settings: str) -> Iterator[MariadbServer]:
    """Run a server, and remove all of it in the end."""
    directory = Path(tempfile.mkdtemp(prefix="taskmill-mariadb-"))
    directory.chmod(0o755)
    server = MariadbServer(directory, **settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)
