"""A task's log, as it is read from its notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from taskmill.tasks.notes.said import BYTES, LINES, weight

_lines = msgspec.json.Decoder(list[tuple[int, str]]).decode


class Line(NamedTuple):
    """A line: the note that it is in, its place there, from 1 on, and how many lines before it were not kept."""

    number: int
    place: int
    attempt: int
    at: int  # milliseconds since 1970
    text: str
    dropped: int


def lines(notes: Sequence[Sequence[Any]]) -> list[Line]:
    """Return the last lines in notes, up to the limit; see :data:`~taskmill.tasks.notes.statements.COLUMNS`."""
    found = list(_all(notes))
    left, first = BYTES, len(found)
    while first > max(0, len(found) - LINES) and (left := left - weight(found[first - 1].text)) >= 0:
        first -= 1
    first = min(first, max(0, len(found) - 1))
    dropped = sum(1 + line.dropped for line in found[:first])
    kept = found[first:]
    if dropped:
        kept[0] = kept[0]._replace(dropped=kept[0].dropped + dropped)
    return kept


def _all(notes: Sequence[Sequence[Any]]) -> Iterator[Line]:
    lost = 0
    for number, attempt, _, log, _, left_out in notes:
        lost += left_out
        if log is None:
            continue
        for place, (at, text) in enumerate(_lines(log), 1):
            yield Line(number, place, attempt, at, text, lost)
            lost = 0
