"""The file of API keys: what is kept of each, and how keys are made, found and withdrawn.

Of a key only its SHA-256 is kept. That is enough, and a slow hash would be wrong: a key is 256 random bits, so nobody
can guess one however fast guesses can be tried, while a hash that takes long would be paid for with each request.
A password is another matter; there are none here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
import string
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

from taskmill.http.auth.caller import Scope

T = TypeVar("T")

ALPHABET: Final = string.ascii_letters + string.digits
START: Final = "tm_"
PREFIX_LENGTH: Final = len(START) + 8
KEY_LENGTH: Final = PREFIX_LENGTH + 1 + 43  # 43 of 62 characters are 256 bits


class KeyFileError(Exception):
    """The file of keys cannot be used as it is. The text says what to do."""


class Key(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is kept of a key. ``prefix`` is its beginning, and tells it from others."""

    prefix: str
    name: str
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: list[Scope]
    queues: list[str] | None = None
    actions: list[str] | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether the key is good at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    keys: list[Key]


_decode = msgspec.json.Decoder(_File).decode


def digest(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> list[Key]:
    """Return the keys of a file.

    Raises:
        KeyFileError: it is missing, or damaged, or others than its owner may write it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except OSError as error:
        raise KeyFileError(
            f"{path}: {error.strerror}; make the first key with `taskmill keys create`"
        ) from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeyFileError(f"{path} can be written by others: `chmod go-w {path}`, and look who is in it")
    try:
        keys = _decode(data).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeyFileError(f"{path} is no file of keys: {error}") from None
    if len({key.prefix for key in keys}) != len(keys):
        raise KeyFileError(f"{path} has a key twice")
    return keys


def create(
    path: Path,
    name: str,
    scopes: Sequence[Scope],
    *,
    queues: Sequence[str] | None = None,
    actions: Sequence[str] | None = None,
    expires_in: float | None = None,
) -> str:
    """Add a key to a file, which is made where there is none; return the key, which is kept nowhere.

    ``expires_in`` is in seconds. Raises KeyFileError.
    """
    now = _now()

    def add(keys: list[Key]) -> str:
        text, key = _make(
            name, scopes, queues, actions, None if expires_in is None else now + timedelta(seconds=expires_in)
        )
        keys.append(key)
        return text

    return _change(path, add)


def rotate(path: Path, prefix: str, grace: float) -> str:
    """Add a key that may what another may, which holds on for ``grace`` seconds; return the new one.

    Raises KeyFileError.
    """

    def replace(keys: list[Key]) -> str:
        old = _find(keys, prefix)
        text, new = _make(old.name, old.scopes, old.queues, old.actions, old.expires_at)
        keys.append(new)
        end = _now() + timedelta(seconds=grace)
        old.expires_at = end if old.expires_at is None else min(end, old.expires_at)
        return text

    return _change(path, replace)


def revoke(path: Path, prefix: str) -> Key:
    """Withdraw a key; return what is kept of it. Raises KeyFileError."""

    def withdraw(keys: list[Key]) -> Key:
        key = _find(keys, prefix)
        key.revoked_at = key.revoked_at or _now()
        return key

    return _change(path, withdraw)


def _make(
    name: str,
    scopes: Sequence[Scope],
    queues: Sequence[str] | None,
    actions: Sequence[str] | None,
    expires_at: datetime | None,
) -> tuple[str, Key]:
    prefix = START + _random(PREFIX_LENGTH - len(START))
    text = f"{prefix}_{_random(KEY_LENGTH - PREFIX_LENGTH - 1)}"
    key = Key(
        prefix=prefix,
        name=name,
        hash=digest(text),
        scopes=list(scopes),
        queues=list(queues) if queues else None,
        actions=list(actions) if actions else None,
        created_at=_now(),
        expires_at=expires_at,
    )
    return text, key


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _find(keys: Sequence[Key], prefix: str) -> Key:
    for key in keys:
        if key.prefix == prefix[:PREFIX_LENGTH]:
            return key
    raise KeyFileError(f"no key begins with `{prefix[:PREFIX_LENGTH]}`; see `taskmill keys list`")


def _change(path: Path, change: Callable[[list[Key]], T]) -> T:
    """Change the keys of a file, one at a time; a server that reads it meanwhile sees the old or the new ones."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            keys = read(path) if path.exists() else []
            result = change(keys)
            data = msgspec.json.format(msgspec.json.encode(_File(keys=keys)), indent=2) + b"\n"
            new = path.with_name(f"{path.name}.new")
            new.unlink(missing_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
    except OSError as error:
        raise KeyFileError(f"{path} cannot be written: {error.strerror}") from None
    return result


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others that change the file waiting."""
    with path.with_name(f"{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
