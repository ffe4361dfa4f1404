"""Signals: how one node tells the others that there is something new. A hint: whoever waits for one polls as well."""

from __future__ import annotations

from collections.abc import Callable


class Signals:
    """Does nothing: for a database that one process has for itself."""

    def send(self, topic: str) -> None:
        """Wake up those who wait for a topic, on every node and on this one, soon. Call it after the commit."""

    def on(self, topic: str, call: Callable[[], None]) -> None:
        """Have ``call()`` called on the loop when a topic is sent, and when signals may have been lost."""
