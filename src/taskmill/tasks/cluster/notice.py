"""What travels through an engine's queue: the name of a task that may start. All else stands in its row."""

from __future__ import annotations

import msgspec

from taskmill.queue import Message
from taskmill.tasks.ids import from_text


class Notice(msgspec.Struct, omit_defaults=True):
    """A message's body.

    ``suspect`` says that the task may have killed whoever ran it last, ``fence`` is the number of the lead under
    which it was handed out.
    """

    task: str
    action: str
    suspect: bool = False
    fence: int = 0

    @property
    def key(self) -> bytes | None:
        """The task's id as bytes, or None where the text is none."""
        return from_text(self.task)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Notice).decode


def write(notice: Notice) -> str:
    """Return the body of a message."""
    return _encode(notice).decode()


def read(message: Message) -> Notice | None:
    """Read a message's body, or None where it is not one of these: anything may publish to a queue."""
    try:
        notice = _decode(message.body)
    except msgspec.DecodeError:
        return None
    return None if notice.key is None else notice
