"""Connections to MySQL and MariaDB: where to, and with which settings of the session."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from pymysql.constants import CLIENT, FIELD_TYPE, SERVER_STATUS
from pymysql.converters import conversions

from taskmill.sql.errors import DatabaseError, DatabaseUnavailable
from taskmill.sql.mysql_link import BESIDE, LOST, MOVED, STATEMENT_SECONDS, Error, Link, Rows, code_of
from taskmill.sql.outage import Outage

Role = Literal["writer", "reader", "upkeep"]

CONNECT_SECONDS = 4  # to wait for a server to answer
LOCK_SECONDS = 5  # to wait for a row that another transaction has changed
IDLE_SECONDS = 60  # after which a transaction that does nothing is undone

# With backslashes as they are, a text has one character that is written in another way: the quote.
SQL_MODE = "STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION"

# What passes by itself: the server has no room, too many connections, ends, or gave a statement up.
_PASSING = BESIDE | LOST | MOVED | {
    1021, 1026, 1030, 1040, 1041, 1114, 1129, 1180, 1203, 1206, 1226, 1317, 1637, 1969, 3024, 3572,
}  # fmt: skip

_NUMBER = re.compile(r"\A-?[0-9]+\Z")


class Address(NamedTuple):
    """Where a database is, and who logs in."""

    host: str
    port: int
    database: str
    username: str
    password: str


def address_of(url: str, given: Mapping[str, Any]) -> Address:
    """Return the address of a url and of what is given besides; raise DatabaseError where it is none."""
    wrong = DatabaseError(
        "the `url` is none of MySQL: write mysql://user:password@host:3306/database, "
        "with %-escapes in the password"
    )
    parts: dict[str, Any] = {
        "host": "localhost",
        "port": 3306,
        "database": "",
        "username": "",
        "password": "",
    }
    if url:
        try:
            found = urlsplit(url)
            port = found.port
        except ValueError:  # its message would show the password
            raise wrong from None
        if found.scheme.partition("+")[0] not in ("mysql", "mariadb") or found.query or found.fragment:
            raise wrong
        of_url = {
            "host": found.hostname,
            "port": port,
            "database": unquote(found.path.removeprefix("/")),
            "username": unquote(found.username or ""),
            "password": unquote(found.password or ""),
        }
        parts |= {name: value for name, value in of_url.items() if value}
    parts |= {name: value for name, value in given.items() if value is not None}
    if not parts["database"] or not parts["username"]:
        raise DatabaseError(
            "a `database` and a `username` are missing: name them, or write both into the `url`"
        )
    return Address(**parts)


class Dialer:
    """Opens connections. ``tls`` is None where the server may choose."""

    def __init__(
        self, id_: str, address: Address, tls: ssl.SSLContext | None, *, plain: bool = False
    ) -> None:
        self._id = id_
        self._address = address
        self._tls = tls
        self._plain = plain
        self.place = (
            f"MySQL at {address.host}:{address.port}, database {address.database}, user {address.username}"
        )
        self.outage = Outage(self.place)

    def connect(self, role: Role) -> Link:
        """Open a connection; raise DatabaseUnavailable, which names the mend."""
        address = self._address
        decoders: dict[Any, Callable[[Any], Any]] = {**conversions, FIELD_TYPE.NEWDECIMAL: _decimal}
        socket = address.host if address.host.startswith("/") else None
        try:
            link = Link(
                host="localhost" if socket else address.host,
                port=address.port,
                unix_socket=socket,
                user=address.username,
                password=address.password.encode(),
                database=address.database,
                charset="utf8mb4",
                collation="utf8mb4_bin",
                sql_mode=SQL_MODE,
                conv=decoders,
                cursorclass=Rows,
                client_flag=CLIENT.FOUND_ROWS,
                autocommit=role != "writer",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=CONNECT_SECONDS,
                write_timeout=CONNECT_SECONDS,
                program_name=f"taskmill {self._id} {role}",
                ssl=self._tls,
                ssl_disabled=self._plain,
            )
        except (Error, OSError, RuntimeError) as error:
            raise DatabaseUnavailable(self._refused(error)) from None
        try:
            ((version, link.packet),) = link.run("SELECT VERSION(), @@max_allowed_packet").fetchall()
            link.maria = "mariadb" in version.lower()
            for statement in _settings(role, maria=link.maria):
                link.run(statement)
        except Error as error:
            link.drop()
            raise self.explain(error) from None
        if not link.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
            link.drop()
            raise DatabaseError(
                f"{self.place} did not take the `sql_mode` that Taskmill's statements are written in"
            )
        link.opened()
        self.outage.end()
        return link

    def explain(self, error: Exception) -> DatabaseError:
        """Turn an error of a statement into what is to be done about it."""
        if code_of(error) in _PASSING:
            return DatabaseUnavailable(
                f"{self.place} cannot do it now ({_text(error)}); it goes on by itself"
            )
        return DatabaseError(f"{self.place}: {_text(error)}")

    def _refused(self, error: Exception) -> str:
        code = code_of(error)
        if code == 1045:
            mend = "give the right `username` and `password`, such as from the environment"
        elif code in (1044, 1049):
            mend = f"CREATE DATABASE {self._address.database}, and GRANT ALL on it, or name another one"
        elif isinstance(error, ssl.SSLError) or code == 2026 or "SSL" in str(error) or "ssl" in str(error):
            mend = "see to its `tls`"
        elif code == 1040:
            mend = "raise its `max_connections`, or lower `max_open`"
        elif code >= 3000 or 1000 <= code < 2000 or isinstance(error, RuntimeError):
            mend = "see to what it says"
        else:
            mend = "start it, or mend `host` and `port`"
        return f"{self.place} cannot be used ({_text(error)}): {mend}"


def _settings(role: Role, *, maria: bool) -> list[str]:
    """Return what is set for a session, each kind of server in its own words."""
    settings = ["SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"]
    if role == "reader":
        settings.append("SET SESSION TRANSACTION READ ONLY")
        limit = (
            f"max_statement_time = {STATEMENT_SECONDS}"
            if maria
            else f"max_execution_time = {STATEMENT_SECONDS}000"
        )
        settings.append(f"SET SESSION {limit}")
    if role == "writer":
        idle = "idle_write_transaction_timeout" if maria else "wait_timeout"
        settings.append(f"SET SESSION innodb_lock_wait_timeout = {LOCK_SECONDS}, {idle} = {IDLE_SECONDS}")
    return settings


def _decimal(text: str) -> int | Any:
    """Read a decimal: sums of whole numbers are such, and are whole."""
    return int(text) if _NUMBER.match(text) else conversions[FIELD_TYPE.NEWDECIMAL](text)


def _text(error: Exception) -> str:
    """Return what an error says. A key that is there twice is shown by the server: that is nobody's business."""
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    return re.sub(r"Duplicate entry '.*' for key", "Duplicate entry for key", line)
