"""``GET /tasks/{id}`` for callers who may not see everything: another's task and a missing one are answered alike."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from taskmill.http import JSON, Around, Caller, Exchange
from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.model import TaskDetails
from taskmill.tasks.rights.rights import is_business, shown
from taskmill.tasks.view.missing import UNKNOWN

_decode = msgspec.json.Decoder(TaskDetails).decode
_ENDED = frozenset(status.word for status in ENDED)


class Narrowed(Around):
    """An exchange whose answer, a task, is only shown as its caller may see it.

    ``wait`` looks again, and waits for the task's end: only once it is known to be the caller's business, or how long
    an answer takes would tell that there is one.
    """

    __slots__ = ("_asks", "_wait")

    def __init__(self, exchange: Exchange, caller: Caller, wait: Callable[[Exchange], None] | None) -> None:
        super().__init__(exchange)
        self._asks = caller
        self._wait = wait

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Answer with as much as may be shown."""
        if status == 200:
            task = _decode(body)
            if not is_business(self._asks, task):
                self.inner.refuse(404, UNKNOWN)
                return
            wait, self._wait = self._wait, None
            if wait is not None and task.status not in _ENDED:
                wait(self)
                return
            body = msgspec.json.encode(shown(self._asks, task))
        elif status == 410 and self._asks.limited:
            self.inner.refuse(404, UNKNOWN)
            return
        self.inner.reply(status, body, media_type, headers)
