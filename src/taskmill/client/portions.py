"""Many submissions in few requests: portions of lines for ``POST /tasks/bulk``, and what their answers say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from taskmill.client import calls, model
from taskmill.client.errors import FieldError, ProblemError
from taskmill.client.submission import Submission
from taskmill.client.wire import Answer

LINES = 1_000  # of a portion
BYTES = 2**19
ABREAST = 3  # portions under way: one is written here, one travels, one is stored
REST = 0.2  # seconds before what found no room is sent again

NDJSON = {"Content-Type": "application/x-ndjson"}
NO_ROOM = 503

Outcome = tuple[model.Submitted, bool] | ProblemError


class Line(msgspec.Struct):
    """Any line of an answer."""

    id: str = ""
    replayed: bool = False
    duplicate: bool = False
    line: int = 0
    error: str = ""
    status: int = 400
    errors: list[FieldError] = []


class Brief(msgspec.Struct):
    """Any line of an answer that leaves out what went well; the last has ``count``."""

    count: int = -1
    replayed: int = 0
    line: int = 0
    error: str = ""
    status: int = 400


_line = msgspec.json.Decoder(Line).decode


def portions(submissions: Iterable[Submission[Any]]) -> Iterator[list[Submission[Any]]]:
    """Give submissions in portions; one that must be sent alone is a portion of its own."""
    portion: list[Submission[Any]] = []
    size = 0
    for submission in submissions:
        length = len(submission.body)
        full = portion and (len(portion) == LINES or size + length > BYTES)
        if full or (portion and submission.alone):
            yield portion
            portion, size = [], 0
        portion.append(submission)
        size += length
        if submission.alone:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


class Portion:
    """A portion on its way: it is asked for again, with the same keys, until each submission has its outcome."""

    def __init__(self, submissions: Sequence[Submission[Any]]) -> None:
        self._submissions = submissions
        self._keys = [submission.idempotency_key or uuid4().hex for submission in submissions]
        self._outcomes: dict[int, Outcome] = {}
        self._turned_away: dict[int, ProblemError] = {}  # by the last answer, for want of room

    def following(self) -> calls.Call[bool] | None:
        """Return the request for those that have none yet; None where all have. It reads whether there was room."""
        first = self._submissions[0]
        if first.alone and not self._outcomes:
            return calls.Call(
                "POST", "/tasks", self._take_one, first.body, {"Idempotency-Key": self._keys[0]}
            )
        left = [place for place in range(len(self._submissions)) if place not in self._outcomes]
        if not left:
            return None
        body = b"".join(keyed(self._submissions[place].body, self._keys[place]) + b"\n" for place in left)
        return calls.Call("POST", "/tasks/bulk", lambda answer: self._take(left, answer), body, NDJSON)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes, in the order of the submissions."""
        return [self._outcomes[place] for place in range(len(self._submissions))]

    def refuse(self, error: ProblemError) -> None:
        """Take a refusal of the whole request for an answer to each submission that has none."""
        for place in range(len(self._submissions)):
            self._outcomes.setdefault(place, error)

    def give_up(self) -> None:
        """Take "no room" for an answer."""
        self._outcomes.update(self._turned_away)

    def _take_one(self, answer: Answer) -> bool:
        self._outcomes[0] = calls.submitted(answer)
        return True

    def _take(self, places: Sequence[int], answer: Answer) -> bool:
        if answer.status != 200:
            calls.refuse(answer)
        lines = answer.body.splitlines()
        if len(lines) != len(places):
            raise ValueError(f"{len(lines)} lines for {len(places)} tasks")
        self._turned_away.clear()
        for place, text in zip(places, lines, strict=True):
            line = _line(text)
            if line.id:
                status = "scheduled" if self._submissions[place].later else "queued"
                submitted = model.Submitted(id=line.id, status=status, duplicate=line.duplicate)
                self._outcomes[place] = submitted, line.replayed
                continue
            error = ProblemError(line.status, line.error, line.errors)
            if line.status == NO_ROOM:
                self._turned_away[place] = error
            else:
                self._outcomes[place] = error
        return not self._turned_away


def keyed(body: bytes, key: str) -> bytes:
    """Return the body of a submission, a JSON object, with an idempotency key in it."""
    inside = body.rstrip()[:-1].rstrip()
    comma = b"" if inside.endswith(b"{") else b","
    return b'%b%b"idempotency_key":%b}' % (inside, comma, msgspec.json.encode(key))
