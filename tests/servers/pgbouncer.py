"""PgBouncer in transaction mode, before a PostgreSQL server of the tests."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psycopg
from support import require

from servers.postgres import PASSWORD, USER, PostgresServer, unprivileged
from servers.server import ServerProcess

_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = 4
"""


class PgBouncer(ServerProcess):
    """A pooler: its clients are given another connection for each transaction."""

    def __init__(self, directory: Path, postgres: PostgresServer) -> None:
        super().__init__(directory)
        self._postgres = postgres
        found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        self._program = require(found, "PgBouncer: apt-get install pgbouncer")
        self._as_user, self._user = unprivileged()

    @property
    def url(self) -> str:
        return self._postgres.url_of("postgres", self.port)

    def command(self) -> Sequence[str]:
        return [*self._as_user, self._program, str(self.directory / "pgbouncer.ini")]

    def prepare(self) -> None:
        super().prepare()
        configuration = _CONFIGURATION.format(
            server=self._postgres.port, port=self.port, directory=self.directory
        )
        (self.directory / "pgbouncer.ini").write_text(configuration)
        (self.directory / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n')

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(self.url, connect_timeout=2):
            return True
        return False
