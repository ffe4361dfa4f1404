"""Submissions of callers, noted once they are answered."""

from __future__ import annotations

from taskmill.http import JSON, Around, Caller, Exchange
from taskmill.tasks.ids import from_text
from taskmill.tasks.usage.ledger import Ledger

_HERE = b"location: /tasks/"
_REPLAYED = b"idempotency-replayed"
_DUPLICATE = b'"duplicate":true'


class Noted(Around):
    """An exchange whose answer says which task it has made: what is known from before is nobody's twice."""

    __slots__ = ("_ledger", "_noted", "_owner")

    def __init__(self, exchange: Exchange, caller: Caller, ledger: Ledger) -> None:
        super().__init__(exchange)
        self._ledger = ledger
        self._noted = False
        self._owner = caller.id

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Answer, and note the task."""
        if status == 202:
            self.note(body, headers)
        self.inner.reply(status, body, media_type, headers)

    def note(self, body: bytes, headers: bytes) -> None:
        """Note the task of a 202, also where that waits for the task's end: the client may be gone by then."""
        at = headers.find(_HERE)
        if self._noted or at < 0 or _REPLAYED in headers or _DUPLICATE in body:
            return
        self._noted = True
        key = from_text(headers[at + len(_HERE) : at + len(_HERE) + 36].decode("ascii"))
        if key is not None:
            self._ledger.submitted(self._owner, [key])
