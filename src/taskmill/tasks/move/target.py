"""Where tasks can move to: the entry that a url stands for, and the database it opens."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from taskmill.registry import Entry
from taskmill.sql import Database, PostgresDatabase, SqliteDatabase
from taskmill.supervisor import Context

_VARIABLE: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_USE: Final = "write `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, or `sqlite:FILE` for the way back"


class WrongTarget(ValueError):
    """Tasks cannot move there. The message says where they can."""


def entry_of(to: str, old: Entry[Any]) -> tuple[Entry[Any], str]:
    """Return the entry of a database in the place of an old one, and how it is written in `_index.yaml`.

    ``to`` may be `${env:NAME}` whole. No password of it stands in what is to be written.

    Raises WrongTarget where it names no database that tasks can move to.
    """
    url = to
    if variable := _VARIABLE.fullmatch(to):
        url = os.environ.get(variable[1], "")
        if not url:
            raise WrongTarget(
                f"the server has no environment variable `{variable[1]}`: set it, start it again"
            )
    common = {"name": old.config.name, "lifecycle": old.config.lifecycle, "meta": old.config.meta}
    scheme, _, rest = url.partition(":")
    if scheme in ("postgresql", "postgres"):
        config = _make(PostgresDatabase, url=url, **common)
        shown = f'"{to}"' if variable else f'"{_without_password(url)}"'
        lines = f"- name: {config.name}\n  kind: {config.kind}\n  url: {shown}"
    elif scheme == "sqlite":
        file = rest.removeprefix("//").strip()
        if not file or file == ":memory:":
            raise WrongTarget(f"`{to}` names no file: {_USE}")
        config = _make(SqliteDatabase, file=file, **common)
        lines = f"- name: {config.name}\n  kind: {config.kind}\n  file: {file}"
    else:
        raise WrongTarget(f"tasks can move to PostgreSQL, and to an SQLite file: {_USE}")
    return replace(old, kind=config.kind, config=config), lines


def opened(entry: Entry[Any], context: Context, on_failure: Callable[[str, BaseException], None]) -> Database:
    """Return the database of an entry, not started, beside the one in use. What happens to it harms no other part."""
    apart = Context({}, on_failure, data_dir=context.data_dir, app_dir=context.app_dir)
    beside = replace(entry, id=f"{entry.id} (new)")
    return (
        PostgresDatabase(beside, apart)
        if entry.kind == PostgresDatabase.kind
        else SqliteDatabase(beside, apart)
    )


def misfit(entry: Entry[Any], context: Context) -> str | None:
    """Return which entry cannot go with the new database, if there is one."""
    for other in context.entries.values():
        for reference in other.references:
            if reference.target == entry.id and not reference.rule.allows(entry.kind):
                return f"{other.id} ({other.kind})"
    return None


def _make(kind: type[Database], **fields: Any) -> Any:
    config: Any = kind.Config
    return config(kind=kind.kind, **fields)


def _without_password(url: str) -> str:
    parts: SplitResult = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    netloc = f"{name}:${{env:DB_PASSWORD}}{at}{host}" if colon else parts.netloc
    query = re.sub(r"(?<![a-z])password=[^&]*", "password=${env:DB_PASSWORD}", parts.query)
    return urlunsplit(parts._replace(netloc=netloc, query=query))
