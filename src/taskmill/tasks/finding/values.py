"""What stands in data, as the index has it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

LIMIT = 200  # characters of a value in the index
_DIGEST = 32  # of them for a digest, where the value is longer

_encode = msgspec.json.encode


class IndexEntry(NamedTuple):
    """A path such as `data.customer`, and what stands there."""

    path: str
    value: str


def entries(paths: Sequence[str], data: msgspec.Raw | str) -> list[IndexEntry]:
    """Return what the index holds of a task: nothing for a path where there is nothing, or null."""
    decoded = msgspec.json.decode(data)
    found = []
    for path in paths:
        value: Any = decoded
        for name in path.split(".")[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            found.append(IndexEntry(path, text_of(value)))
    return found


def text_of(value: object) -> str:
    """Return a value as the index has it: a text as it is, all else as JSON; so `42` finds 42 and "42"."""
    text = value if isinstance(value, str) else _encode(value, order="sorted").decode()
    if len(text) <= LIMIT:
        return text
    return text[: LIMIT - _DIGEST] + hashlib.blake2b(text.encode(), digest_size=_DIGEST // 2).hexdigest()
