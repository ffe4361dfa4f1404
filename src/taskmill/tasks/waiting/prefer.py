"""``Prefer: wait=10`` (RFC 7240): how long a client would like the answer to be held."""

from __future__ import annotations

from typing import Final

MOST: Final = 60  # seconds that an answer is held at most


def wait_in(prefer: bytes) -> int | None:
    """Return the seconds that a `Prefer` header asks to wait, MOST at most; None where it does not say.

    What is not understood is left aside, as the RFC wants it: a preference is no demand. Of several the first counts.
    """
    for preference in prefer.split(b","):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        if name.strip().lower() == b"wait":
            digits = value.strip().strip(b'"')
            return min(MOST, int(digits[:9])) if digits.isdigit() else None
    return None
