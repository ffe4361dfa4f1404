"""What is looked at before a MySQL or MariaDB database is used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from taskmill.sql.errors import DatabaseError
from taskmill.sql.mysql_connect import Dialer
from taskmill.sql.mysql_link import Error
from taskmill.sql.mysql_signals import TABLE

# Without SKIP LOCKED and an order of texts that knows a space at the end from none, a queue goes wrong on it.
MYSQL, MARIADB = (8, 0, 17), (10, 6, 0)
PACKET = 2**24  # bytes: a task and its result of the size that a body may have

_NAMES = ("max_allowed_packet", "innodb_flush_log_at_trx_commit", "log_bin", "binlog_format", "sync_binlog")


def examine(dialer: Dialer) -> list[str]:
    """Connect once, and make the table of signals; return what is allowed there and yet risks tasks.

    Raises:
        DatabaseError: it cannot be used.
    """
    link = dialer.connect("writer")
    try:
        ((version,),) = link.run("SELECT VERSION()").fetchall()
        _look_at_version(dialer, version)
        names = ", ".join([f"'{name}'" for name in _NAMES])
        found = link.run(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})").fetchall()
        warnings = list(_warnings(dialer, dict(found)))
        link.run(TABLE)
    except Error as error:
        raise dialer.explain(error) from None
    else:
        return warnings
    finally:
        link.drop()


def _look_at_version(dialer: Dialer, version: str) -> None:
    maria = "mariadb" in version.lower()
    least = MARIADB if maria else MYSQL
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None or tuple(map(int, found.groups())) < least:
        raise DatabaseError(
            f"{dialer.place} is {'MariaDB' if maria else 'MySQL'} {version.partition('-')[0]}; Taskmill needs "
            f"MySQL {'.'.join(map(str, MYSQL))} or MariaDB {'.'.join(map(str, MARIADB[:2]))}, or later: upgrade it"
        )


def _warnings(dialer: Dialer, settings: Mapping[str, str]) -> Iterator[str]:
    packet = int(settings["max_allowed_packet"])
    if packet < PACKET:
        raise DatabaseError(
            f"{dialer.place} has a `max_allowed_packet` of {packet:,} bytes, in which a large task does not fit: "
            "raise it to 64M in the server's settings"
        )
    binlog = settings.get("log_bin") == "ON"
    if binlog and settings.get("binlog_format") == "STATEMENT":
        raise DatabaseError(
            f"{dialer.place} writes statements into its binary log, which READ COMMITTED does not allow: "
            "set `binlog_format=ROW`"
        )
    if settings["innodb_flush_log_at_trx_commit"] != "1":
        yield "a crash takes acknowledged tasks along: set `innodb_flush_log_at_trx_commit=1`"
    if binlog and settings.get("sync_binlog") != "1":
        yield "a crash may take acknowledged tasks out of the binary log, and so away from replicas: `sync_binlog=1`"
