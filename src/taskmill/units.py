"""Durations and sizes as people write them: `100ms`, `5s`, `1MiB`.

Inside the program a duration is a float of seconds and a size an int of bytes: parsed once, at the edge.
"""

import re
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_LARGEST = 2**63 - 1  # what a database column and a C library can hold

# The digits are bounded so that no text, however long, becomes an infinite number.
_DURATION = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB|TiB)")


class Duration(float):
    """A number of seconds, read from `100ms`, `5s`, `1m`, `2h`, `7d` or a plain number."""

    __slots__ = ()

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s"):
            if self and self % _SECONDS[unit] == 0:
                return f"{int(self / _SECONDS[unit])}{unit}"
        return f"{self * 1000:.12g}ms" if 0 < self < 1 else f"{float(self):.15g}s"


class Size(int):
    """A number of bytes, read from `512B`, `64KiB`, `1MiB`, `2GiB` or a plain whole number."""

    __slots__ = ()

    def __str__(self) -> str:
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if self and self % _BYTES[unit] == 0:
                return f"{self // _BYTES[unit]}{unit}"
        return f"{int(self)}B"


def parse_duration(value: str | float) -> float:
    """Return the seconds that `value` stands for; raise ValueError where it is no duration."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match:
            return float(match[1]) * _SECONDS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return float(value)
    raise ValueError(
        f"{_shown(value)} is not a duration: write `100ms`, `5s`, `1m`, `2h`, `7d` or a number of seconds"
    )


def parse_size(value: str | int) -> int:
    """Return the bytes that `value` stands for; raise ValueError where it is no size."""
    size = -1
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if match:
            size = int(match[1]) * _BYTES[match[2]]
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    if 0 <= size <= _LARGEST:
        return size
    raise ValueError(
        f"{_shown(value)} is not a size: write `512B`, `64KiB`, `1MiB`, `2GiB` or a number of bytes"
    )


def dec_hook(type_: type, value: Any) -> Any:
    """Decode `Duration` and `Size` fields for msgspec."""
    if type_ is Duration:
        return Duration(parse_duration(value))
    if type_ is Size:
        return Size(parse_size(value))
    raise NotImplementedError(f"no decoder for fields of type {type_.__name__}")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"`{value}`" if len(value) <= 40 else f"`{value[:40]}…`"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**20):
        return f"`{value}`"
    return f"this {type(value).__name__}"
