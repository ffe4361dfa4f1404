"""Files of tasks: lines, as they are, sent in portions, several of them under way, at constant memory."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

import msgspec

from taskmill.client import calls
from taskmill.client.blocking import Client
from taskmill.client.portions import ABREAST, NDJSON, NO_ROOM, REST, Brief, keyed
from taskmill.client.wire import Answer

LINES = 2_000  # of a portion
BYTES = 2**19
BRIEF = {**NDJSON, "Prefer": "return=minimal"}

_brief = msgspec.json.Decoder(Brief).decode


class Refusal(NamedTuple):
    """Why the task of a line, counted from 1 on, is not stored."""

    line: int
    error: str


class Loaded(NamedTuple):
    """What has become of a portion: how many tasks are stored, and how many of them were before; the refusals."""

    size: int  # bytes
    stored: int
    replayed: int
    refused: list[Refusal]


class _Portion(NamedTuple):
    size: int  # bytes, blank lines included
    numbers: list[int]  # of the lines
    lines: list[bytes]


class _Own(msgspec.Struct):
    idempotency_key: object = None


_own = msgspec.json.Decoder(_Own).decode


def load(
    client: Client, lines: Iterable[bytes], name: str | None, patience: float = 60.0
) -> Iterator[Loaded]:
    """Submit lines, each a body of ``POST /tasks``; give what has become of each portion, in order.

    ``name`` makes the idempotency key of each line that has none of its own, with the line's number and text. So the
    same lines can be sent again, within a day, and are the same tasks. Without a name there are none, which is
    faster; then a portion whose answer got lost is not sent again. Lines that find no room are sent again for
    ``patience`` seconds.

    Raises:
        ServerAway: no server answers; what was given before is stored.
        ProblemError: the server refuses the request itself.
        NotTaskmill: another program answers.
    """
    under_way: deque[Future[Loaded]] = deque()
    with ThreadPoolExecutor(ABREAST) as threads:
        try:
            for portion in _portions(lines):
                if len(under_way) == ABREAST:
                    yield under_way.popleft().result()
                under_way.append(threads.submit(copy_context().run, _send, client, portion, name, patience))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _portions(lines: Iterable[bytes]) -> Iterator[_Portion]:
    portion = _Portion(0, [], [])
    size = 0
    for number, line in enumerate(lines, 1):
        size += len(line)
        text = line.strip()
        if text:
            portion.numbers.append(number)
            portion.lines.append(text)
        if len(portion.lines) == LINES or size >= BYTES:
            yield portion._replace(size=size)
            portion, size = _Portion(0, [], []), 0
    if size:
        yield portion._replace(size=size)


def _send(client: Client, portion: _Portion, name: str | None, patience: float) -> Loaded:
    lines, numbers = portion.lines, portion.numbers
    if name is not None:
        lines = [_with_key(line, name, number) for line, number in zip(lines, numbers, strict=True)]
    count, replayed = 0, 0
    refused: list[Refusal] = []
    until = time.monotonic() + patience
    while lines:
        answers = client.ask(_call(lines, safe=name is not None))
        count, replayed = count + answers[-1].count, replayed + answers[-1].replayed
        again = []
        for answer in answers[:-1]:
            if answer.status == NO_ROOM and time.monotonic() < until:
                again.append(answer.line - 1)
            else:
                refused.append(Refusal(numbers[answer.line - 1], answer.error))
        lines, numbers = [lines[place] for place in again], [numbers[place] for place in again]
        if lines:
            time.sleep(REST)
    return Loaded(portion.size, count, replayed, sorted(refused))


def _call(lines: list[bytes], *, safe: bool) -> calls.Call[list[Brief]]:
    def read(answer: Answer) -> list[Brief]:
        if answer.status != 200:
            calls.refuse(answer)
        found = [_brief(line) for line in answer.body.splitlines()]
        if not found or found[-1].count < 0:
            raise ValueError("an answer without its last line")
        return found

    return calls.Call("POST", "/tasks/bulk", read, b"\n".join(lines), BRIEF, safe=safe)


def _with_key(line: bytes, name: str, number: int) -> bytes:
    """Give a line a key of its name, number and text, unless it has one, or is nothing that could have one."""
    try:
        if _own(line).idempotency_key is not None:
            return line
    except (msgspec.DecodeError, UnicodeDecodeError):  # the server says what is wrong with it
        return line
    digest = hashlib.blake2b(b"%b\0%d\0%b" % (name.encode(), number, line), digest_size=16).hexdigest()
    return keyed(line, digest)
