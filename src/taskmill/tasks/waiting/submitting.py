"""Submissions that would rather have the task itself than hear that it is accepted."""

from __future__ import annotations

import msgspec

from taskmill.http import JSON, Exchange
from taskmill.tasks.ids import from_text
from taskmill.tasks.usage.noting import Noted
from taskmill.tasks.waiting.prefer import wait_in
from taskmill.tasks.waiting.waiter import Accepted
from taskmill.tasks.waiting.waiters import Waiters


class _Submitted(msgspec.Struct):
    """The part of the answer to a submission that matters here."""

    id: str
    duplicate: bool = False


_read = msgspec.json.Decoder(_Submitted).decode


class PatientExchange(Exchange):
    """Takes the answer to a submission. A 202 is held for some seconds: once the task has ended, it is the answer."""

    __slots__ = ("_exchange", "_seconds", "_waiters")

    def __init__(self, exchange: Exchange, waiters: Waiters, seconds: int) -> None:
        self.headers = exchange.headers
        self.body = exchange.body
        self._exchange = exchange
        self._waiters = waiters
        self._seconds = seconds

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Pass on any other answer at once."""
        if status != 202:
            self._exchange.reply(status, body, media_type, headers)
            return
        if isinstance(self._exchange, Noted):
            self._exchange.note(body, headers)
        submitted = _read(body)
        key = from_text(submitted.id)
        assert key is not None  # noqa: S101 - it was just made
        new = not submitted.duplicate and b"idempotency-replayed" not in headers
        accepted = Accepted(body, headers + b"preference-applied: wait=%d\r\n" % self._seconds, new)
        self._waiters.submitted(self._exchange, key, accepted, self._seconds)


def patient(exchange: Exchange, prefer: bytes, waiters: Waiters) -> Exchange:
    """Return what takes the answer to a submission that has a `Prefer` header."""
    seconds = wait_in(prefer)
    if seconds is None or exchange.closing is None:
        return exchange
    return PatientExchange(exchange, waiters, seconds)
