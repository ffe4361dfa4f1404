"""What is looked at before a PostgreSQL database is used."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from taskmill.sql.errors import DatabaseError
from taskmill.sql.postgres_connect import OLDEST, Dialer

# What a crash of the server may cost, by the setting that is off.
_RISKS = {
    "fsync": "with `fsync` off a crash may leave the whole database damaged: switch it on",
    "full_page_writes": "with `full_page_writes` off a crash may leave pages damaged: switch it on",
    "synchronous_commit": "with `synchronous_commit` off a crash takes acknowledged tasks along: leave it out",
}


def examine(dialer: Dialer) -> list[str]:
    """Connect once; return what is allowed there and yet risks tasks.

    Raises:
        DatabaseError: it cannot be used.
    """
    with dialer.connect("writer") as connection:
        if connection.info.server_version < OLDEST:
            raise DatabaseError(
                f"{dialer.place} is version {connection.info.server_version // 10_000}; "
                f"Taskmill needs {OLDEST // 10_000} or later: upgrade it"
            )
        try:
            return list(_warnings(dialer, connection))
        except psycopg.Error as error:
            raise dialer.explain(error) from None


def _warnings(dialer: Dialer, connection: psycopg.Connection[tuple[str, str]]) -> Iterator[str]:
    names = [*_RISKS, "server_encoding"]
    sql = "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)"
    settings = dict(connection.execute(sql, [names]).fetchall())
    if settings["server_encoding"] != "UTF8":
        raise DatabaseError(
            f"{dialer.place} has the encoding {settings['server_encoding']}: "
            "make it with `createdb --encoding=UTF8 --template=template0`"
        )
    for name, risk in _RISKS.items():
        if settings[name] == "off" and not (name == "synchronous_commit" and dialer.pgbouncer):
            yield risk
