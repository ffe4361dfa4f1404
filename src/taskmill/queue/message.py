"""A message: what travels through a queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

NO_HEADERS: Mapping[str, str] = {}


class Message:
    """One delivery of a message.

    ``body`` is JSON text; :attr:`data` decodes it. ``deliveries`` counts this one too. Exactly one of
    :meth:`ack` (done, forget it) and :meth:`nack` (have it again) has an effect, the first one called.
    """

    __slots__ = ("_headers", "_id", "_settle", "body", "deliveries")

    def __init__(self, id: str, body: str, headers: Mapping[str, str] = NO_HEADERS) -> None:  # noqa: A002
        self._id = id
        self._headers = headers
        self._settle: Callable[[Message, bool], None] | None = None
        self.body = body
        self.deliveries = 0

    @property
    def data(self) -> Any:
        """The body, decoded afresh at each call."""
        return msgspec.json.decode(self.body)

    def id(self) -> str:
        """Return the message's id."""
        return self._id

    def headers(self) -> Mapping[str, str]:
        """Return the headers that it was published with."""
        return self._headers

    def ack(self) -> None:
        """Say that the message is done with."""
        self._end(True)

    def nack(self) -> None:
        """Have the message delivered again, after the queue's redelivery pause."""
        self._end(False)

    def delivered(self, settle: Callable[[Message, bool], None]) -> None:
        """Called by a driver as it hands the message out: ``settle(message, acknowledged)`` ends this delivery."""
        self.deliveries += 1
        self._settle = settle

    def on_settled(self, call: Callable[[], None]) -> None:
        """Have ``call`` called when this delivery ends, by :meth:`ack` or :meth:`nack`."""
        settle = self._settle

        def settled(message: Message, acknowledged: bool) -> None:
            call()
            if settle is not None:
                settle(message, acknowledged)

        self._settle = settled

    def _end(self, acknowledged: bool) -> None:
        settle, self._settle = self._settle, None
        if settle is not None:
            settle(self, acknowledged)
