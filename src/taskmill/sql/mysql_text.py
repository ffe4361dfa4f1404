"""Values as text of a statement, for sessions with `NO_BACKSLASH_ESCAPES` and UTF-8 on the wire.

There the quote is the one character that ends a text, and is written twice. The protocol's own way of keeping values
and statements apart costs a round trip for each statement, and MySQL has none for many rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "NULL",
    bool: lambda value: "1" if value else "0",
    int: int.__repr__,
    str: lambda value: "'" + value.replace("'", "''") + "'",
    bytes: lambda value: f"x'{value.hex()}'",
    Decimal: str,
    datetime: lambda value: f"'{value:%Y-%m-%d %H:%M:%S.%f}'",
    date: lambda value: f"'{value:%Y-%m-%d}'",
}


def literal(value: Any) -> str:
    """Write a value; raise TypeError where it is of no type that a column has."""
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    if isinstance(value, float):
        if value - value != 0:  # neither infinity nor NaN is a number there
            raise TypeError(f"{value} is no number of a column")
        return repr(value)
    for type_, general in _WRITERS.items():
        if isinstance(value, type_):
            return general(value)
    raise TypeError(f"a {type(value).__name__} is no value of a column")


def write(sql: str, arguments: Sequence[Any]) -> str:
    """Put values into a statement in place of its ``%s``; ``%%`` stands for a percent sign where there are values."""
    if not arguments and "%" not in sql:
        return sql
    parts = _parts(sql)
    if len(parts) != len(arguments) + 1:
        raise TypeError(f"{len(arguments)} values for {len(parts) - 1} parameters")
    texts = [parts[0]]
    for value, part in zip(arguments, parts[1:], strict=True):
        texts += (literal(value), part)
    return "".join(texts)


def placed(count: int) -> str:
    """Return places for so many values."""
    return ", ".join(["%s"] * count)


@lru_cache(1024)
def _parts(sql: str) -> list[str]:
    return [part.replace("%%", "%") for part in sql.split("%s")]
