"""What an attempt has said and nobody has written down yet: its last progress, and the lines of its log."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import isfinite
from typing import Annotated, Final

import msgspec

LINES: Final = 1_000  # of a task's log that are kept,
BYTES: Final = 2**16  # with so many bytes of text in all
LINE: Final = 4_000  # characters of one line
MESSAGE: Final = 500  # characters of a progress's message
MOST: Final = 10**15  # a number; not every reader of JSON tells much greater ones apart
EVERY: Final = 0.2  # seconds between two writes of what one attempt says

Number = int | float


class Progress(msgspec.Struct, frozen=True):
    """How far a task has come."""

    done: Annotated[Number, msgspec.Meta(description="So much is done.")]
    total: Annotated[Number | None, msgspec.Meta(description="Of so much, if that is known.")] = None
    message: Annotated[str, msgspec.Meta(description="What it is at, for people.")] = ""


class Said:
    """What one attempt has said. Of the log the last lines are kept; ``lost`` is how many before them are not."""

    __slots__ = ("lines", "lost", "progress", "size")

    def __init__(self) -> None:
        self.progress: bytes | None = None  # JSON
        self.lines: deque[tuple[int, str]] = deque()  # milliseconds since 1970, text
        self.lost = 0
        self.size = 0

    def log(self, at: int, text: str) -> None:
        """Add a line."""
        self.lines.append((at, text))
        self.size += weight(text)
        while len(self.lines) > LINES or (self.size > BYTES and len(self.lines) > 1):
            self.size -= weight(self.lines.popleft()[1])
            self.lost += 1

    def add(self, progress: bytes | None, lines: Iterable[tuple[int, str]], lost: int) -> None:
        """Add what was said later; ``lost`` lines were left out between."""
        if progress is not None:
            self.progress = progress
        if lost:  # more than is kept has come since
            self.lost += len(self.lines) + lost
            self.lines.clear()
            self.size = 0
        for at, text in lines:
            self.log(at, text)


def progress_of(done: Number, total: Number | None = None, message: str = "") -> bytes:
    """Write a progress as JSON.

    Raises:
        TypeError: a number is none, or the message is no text.
        ValueError: a number is not finite, or beyond what JSON's readers tell apart.
    """
    for name, value in (("done", done), ("total", total)):
        if value is None and name == "total":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"progress({name}=…) takes a number, not {type(value).__name__}")
        if not isfinite(value) or abs(value) > MOST:
            raise ValueError(f"progress({name}={value}): take a finite number, {MOST} at most")
    if not isinstance(message, str):
        raise TypeError(f"progress(message=…) takes a text, not {type(message).__name__}")
    return msgspec.json.encode(Progress(done, total, storable(message, MESSAGE)))


def line_of(message: str) -> str:
    """Return a line of a log as it is kept; raise TypeError where it is no text."""
    if not isinstance(message, str):
        raise TypeError(f"log(…) takes a text, not {type(message).__name__}: write str(…)")
    return storable(message, LINE)


def storable(text: str, most: int) -> str:
    """Return a text without what is no Unicode, cut where it has more than so many characters."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= most else text[: most - 1] + "…"


def weight(text: str) -> int:
    """Return the bytes of a text."""
    return len(text) if text.isascii() else len(text.encode())
