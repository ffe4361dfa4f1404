"""Answers that are held back, such as until a task has ended: who holds one hears if nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HoldingProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which calls ``gone`` where the connection is lost."""

    gone: Callable[[], None] | None = None  # only while an answer is held back

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who holds an answer back."""
        super().connection_lost(exc)
        gone, self.gone = self.gone, None
        if gone is not None:
            gone()
