"""Publishing to JetStream: many messages at once, each confirmed by the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import msgspec

from taskmill.queue.errors import MessageTooLarge, QueueError, QueueFull, QueueUnavailable
from taskmill.queue.message import Message

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

MESSAGE_ID = "Nats-Msg-Id"  # queue and id; the stream drops a second message of the same for two minutes
HEADERS = "Taskmill-Headers"  # one JSON text in ASCII: NATS strips its own headers' values and restricts their names

FULL = {10077, 10122}  # JetStream's error codes: no more messages or bytes, in the stream or the account
TOO_LARGE = {10054}
UNDER_WAY = {10158}  # the copies of a cluster are still agreeing on an earlier message of the same id

Prepared = tuple[bytes, Mapping[str, str]]


class NoStream(QueueUnavailable):
    """No stream takes the subject: it has been deleted, or its server has lost it."""


class _Failure(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    error: _Failure | None = None


def id_in(found: Msg) -> str:
    """Return the id that a message was published with; one of another publisher is known by its place."""
    subject, _, id_ = (found.headers or {}).get(MESSAGE_ID, "").partition("/")
    if subject == found.subject and id_:
        return unquote(id_)
    return f"{found.metadata.stream}-{found.metadata.sequence.stream}"


@dataclass(slots=True)
class _Publication:
    """Messages that wait to be confirmed."""

    left: int
    done: asyncio.Future[None]


class Publishing:
    """Publishes a queue's messages; confirmations come in by :meth:`confirmed`."""

    def __init__(self, name: str, subject: str) -> None:
        self._name = name
        self._subject = subject
        self._numbers = count()
        self._publications: dict[str, _Publication] = {}

    def prepare(self, messages: Sequence[Message], max_payload: int) -> list[Prepared]:
        """Encode messages; raise MessageTooLarge for one that the server would refuse."""
        prepared: list[Prepared] = []
        for message in messages:
            headers = {MESSAGE_ID: f"{self._subject}/{quote(message.id(), safe='')}"}
            if carried := message.headers():
                headers[HEADERS] = json.dumps(dict(carried))
            body = message.body.encode()
            size = len(body) + sum([len(name) + len(value) + 4 for name, value in headers.items()]) + 12
            if size > max_payload:
                raise MessageTooLarge(
                    f"message {message.id()} of queue {self._name} is {size} bytes with its headers, and this NATS "
                    f"server takes {max_payload}: raise its `max_payload`, or keep large data elsewhere"
                )
            prepared.append((body, headers))
        return prepared

    async def publish(
        self, client: Client, inbox: str, prepared: Sequence[Prepared], patience: float
    ) -> None:
        """Send all, and wait until all are confirmed; ``inbox`` is where answers are listened for.

        Raise TimeoutError where they are not within so many seconds: the client swallows the cancellation by
        which a timeout around this would work.
        """
        token = f"p{next(self._numbers)}"
        publication = _Publication(len(prepared), asyncio.get_running_loop().create_future())
        self._publications[token] = publication
        try:
            for body, headers in prepared:
                await client.publish(self._subject, body, f"{inbox}.{token}", dict(headers))
            await asyncio.wait([publication.done], timeout=patience)
            if not publication.done.done():
                raise TimeoutError("no answer in time")
            publication.done.result()
        finally:
            del self._publications[token]

    def give_up(self) -> None:
        """Wait for no confirmation any more: the connection by which it would come has ended."""
        for publication in self._publications.values():
            if not publication.done.done():
                publication.done.set_exception(
                    QueueUnavailable(f"queue {self._name}: the connection was lost")
                )

    def confirmed(self, token: str, found: Msg) -> None:
        """Take the stream's answer to one message."""
        publication = self._publications.get(token)
        if publication is None or publication.done.done():  # given up, or refused already
            return
        if error := self._error(found):
            publication.done.set_exception(error)
            return
        publication.left -= 1
        if not publication.left:
            publication.done.set_result(None)

    def _error(self, found: Msg) -> QueueError | None:
        if found.headers and found.headers.get("Status") == "503":
            return NoStream(f"queue {self._name}: no stream takes its messages at the moment")
        failure = msgspec.json.decode(found.data, type=_Answer).error
        if failure is None:
            return None
        text = f"queue {self._name}: the stream refuses a message: {failure.description}"
        if failure.err_code in FULL:
            return QueueFull(text)
        if failure.err_code in TOO_LARGE:
            return MessageTooLarge(text)
        later = failure.code >= 500 or failure.err_code in UNDER_WAY
        return QueueUnavailable(text) if later else QueueError(text)
