"""The span of a submission: it ends with its answer."""

from __future__ import annotations

from opentelemetry.trace import Span, StatusCode

from taskmill.http import JSON, Exchange
from taskmill.http.around import Around


class Sending(Around):
    """An exchange whose answer ends a span."""

    __slots__ = ("_span",)

    def __init__(self, inner: Exchange, span: Span) -> None:
        super().__init__(inner)
        self._span = span

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """End the span, and answer."""
        if status >= 400:
            self._span.set_attribute("error.type", str(status))
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
        self.inner.reply(status, body, media_type, headers)
