"""Which columns hold what clients and actions gave, and are therefore encrypted where that is wanted."""

from __future__ import annotations

from sqlalchemy import Text


class SealedText(Text):
    """A text that is encrypted where the task queue encrypts. All of them are JSON, unless they are encrypted.

    ``stand_in`` is shown in place of one whose key is missing. What has none is shown as it is stored.
    """

    cache_ok = True

    def __init__(self, stand_in: str = "") -> None:
        super().__init__()
        self.stand_in = stand_in


class Unopened(str):
    """Stands for the action of a task whose data cannot be decrypted here: nobody has it, so that the task waits."""


_LOST = "encrypted with a key that is missing here"

DATA = SealedText()
ERROR = SealedText(f'{{"type":"encrypted","message":"{_LOST}","at":"1970-01-01T00:00:00.000Z"}}')
PROGRESS = SealedText(f'{{"done":0,"message":"{_LOST}"}}')
LOG = SealedText(f'[[0,"{_LOST}"]]')
