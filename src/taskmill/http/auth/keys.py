"""``http.auth.keys``: callers by their API keys, from a file that may change at any time."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Annotated, Any, ClassVar, Final, NamedTuple

from msgspec import Meta

from taskmill.http.auth import key_file
from taskmill.http.auth.caller import Caller, implied
from taskmill.http.auth.key_file import KEY_LENGTH, PREFIX_LENGTH, START, Key, KeyFileError
from taskmill.http.middleware.incoming import Incoming, Middleware
from taskmill.registry import Entry, EntryConfig
from taskmill.supervisor import Context, SupervisorError

logger = logging.getLogger(__name__)

BEARER: Final = b"bearer "
_START: Final = START.encode()
_PREFIX: Final = slice(0, PREFIX_LENGTH)
_NOBODY: Final = bytes(32)  # what an unknown key is compared with, so that it takes as long as a known one
LOOK: Final = 1.0  # seconds between two looks at the file
UNKNOWN: Final = "This key is not known, or no longer: `taskmill keys create` makes another."


class KeysConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Tells callers apart by API keys, sent as `Authorization: Bearer`. Named by a router, it lets nobody else in."""

    file: Annotated[
        str,
        Meta(
            min_length=1,
            description="The file of keys, under the directory of state where it is not absolute. `taskmill keys` "
            "writes it; a change is heeded within a second.",
        ),
    ] = "keys.json"


class _Known(NamedTuple):
    hash: bytes
    until: float  # seconds since 1970
    caller: Caller


class ApiKeys(Middleware):
    """Knows callers by their keys."""

    kind: ClassVar[str] = "http.auth.keys"
    Config: ClassVar[type[EntryConfig]] = KeysConfig
    authenticates = True

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self.id = entry.id
        self._path = context.data_dir / entry.config.file
        self._known: dict[bytes, _Known] = {}
        self._read_at: tuple[int, int, int] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the file, and look at it again and again. Raises SupervisorError where it cannot be used."""
        self._read_at = _state(self._path)
        try:
            self._take(key_file.read(self._path))
        except KeyFileError as error:
            raise SupervisorError(str(error)) from None
        self._watching = asyncio.create_task(self._watch(), name=f"{self.id} watch")

    async def stop(self) -> None:
        """Look no more."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    def meet(self, incoming: Incoming) -> None:
        """Find out whose key a request has. Others than those of the file are left to those who come after."""
        sent = incoming.header(b"authorization")
        if sent is None or incoming.caller is not None or sent[:7].lower() != BEARER:
            return
        token = sent[7:].strip()
        if not token.startswith(_START):
            incoming.unknown = incoming.unknown or UNKNOWN
            return
        known = self._known.get(token[_PREFIX]) if len(token) == KEY_LENGTH else None
        same = hmac.compare_digest(sha256(token).digest(), _NOBODY if known is None else known.hash)
        if known is None or not same or time() >= known.until:
            incoming.unknown = UNKNOWN
        else:
            incoming.caller = known.caller

    def look(self) -> None:
        """Read the file again if it has changed. One that cannot be read lets nobody in: it may have withdrawn keys."""
        state = _state(self._path)
        if state == self._read_at:
            return
        self._read_at = state
        try:
            keys = key_file.read(self._path)
        except KeyFileError as error:
            logger.error("%s lets nobody in until this is mended: %s", self.id, error)  # noqa: TRY400 - no stack
            self._known = {}
        else:
            self._take(keys)
            logger.info("%s: %d keys", self.id, len(self._known))

    def _take(self, keys: Sequence[Key]) -> None:
        now = datetime.now(UTC)
        self._known = {key.prefix.encode(): _known(key) for key in keys if key.holds(now)}

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self.look()


def _known(key: Key) -> _Known:
    caller = Caller(
        f"key {key.prefix}",
        implied(key.scopes),
        None if key.queues is None else frozenset(key.queues),
        None if key.actions is None else frozenset(key.actions),
    )
    until = float("inf") if key.expires_at is None else key.expires_at.timestamp()
    return _Known(bytes.fromhex(key.hash), until, caller)


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
