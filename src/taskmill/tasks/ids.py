"""Task ids: UUIDv7 (RFC 9562), strictly increasing.

The dispatcher finds what it has not dispatched yet by ``id > last``, so an id must be greater than every id
before it, also when the clock is set back and after a restart. No library promises the latter.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

_VERSION = 7 << 76
_VARIANT = 2 << 62
_random = Random()  # noqa: S311 - an id is no secret


class IdSource:
    """Makes ids greater than ``floor``, the greatest id there is already. ``clock`` gives seconds since 1970."""

    def __init__(self, floor: bytes = b"", clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.time
        self._last = int.from_bytes(floor)
        self.now = 0  # what the clock said at the last id: milliseconds since 1970

    def next(self) -> bytes:
        """Return a new id of 16 bytes.

        The first of a millisecond is random below its 48 bits of time; those after it, and all while the
        clock is behind, count on from it by a random step.
        """
        self.now = millisecond = int(self._clock() * 1000)
        if millisecond > self._last >> 80:
            # The 62 random bits leave the top one free, so that counting on does not spill into the variant.
            self._last = millisecond << 80 | _VERSION | _VARIANT | _random.getrandbits(61)
        else:
            self._last += 1 + (self._last & 0xFFFF)
        return self._last.to_bytes(16)


def id_at(milliseconds: int) -> bytes:
    """Return a new id of a time since 1970, in no order with others of that millisecond."""
    return (milliseconds << 80 | _VERSION | _VARIANT | _random.getrandbits(61)).to_bytes(16)


def time_in(id_: bytes) -> int:
    """Return the milliseconds since 1970 that stand in an id."""
    return int.from_bytes(id_[:6])


def least_id(milliseconds: int) -> bytes:
    """Return what is not greater than any id made at a time since 1970, or later."""
    return (max(0, milliseconds) << 80).to_bytes(16)


def to_text(id_: bytes) -> str:
    """Return an id as people write it."""
    quads = id_.hex("-", 2)  # eight of them, with a hyphen too many at the first, the sixth and the seventh
    return f"{quads[:4]}{quads[5:29]}{quads[30:34]}{quads[35:]}"


def from_text(text: str) -> bytes | None:
    """Return the id that a text stands for, or None where it stands for none."""
    if len(text) != 36 or text[8] + text[13] + text[18] + text[23] != "----":
        return None
    try:
        id_ = bytes.fromhex(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])
    except ValueError:
        return None
    return id_ if len(id_) == 16 else None  # blanks are skipped
