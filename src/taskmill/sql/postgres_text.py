"""Statements as PostgreSQL's SQL, and values as its text."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import ClauseElement
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.sql.compiler import SQLCompiler

# Unlike that of psycopg 3, it writes no type beside each parameter: of all integers it would make 32 bits.
DIALECT: Final = psycopg2.dialect(paramstyle="format")  # type: ignore[no-untyped-call]

INSTEAD: Final = (
    "\ufffd"  # of a NUL, which text has no place for: such a name is never found, and breaks nothing
)


@cache
def compiled(statement: ClauseElement) -> SQLCompiler:
    """Write a statement with `%s` for each parameter."""
    made = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    if not isinstance(made, SQLCompiler):
        raise TypeError("only queries and changes of rows have parameters")
    return made


def storable(value: Any) -> Any:
    """Return a value as it can be stored."""
    return value.replace("\0", INSTEAD) if isinstance(value, str) and "\0" in value else value
