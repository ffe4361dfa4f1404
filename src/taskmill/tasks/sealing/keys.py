"""Keys, and texts that are encrypted with them: XAES-256-GCM, by the library `cryptography`.

A sealed text is ``tm1:``, the key's id, ``:``, and in Base64 a nonce of 24 bytes, what AES-GCM makes of the text, and
its tag of 16 bytes. The scheme is https://c2sp.org/XAES-256-GCM: the first 12 bytes of the nonce and the key make
another key (NIST SP 800-108r1, with CMAC), for which AES-256-GCM takes the other 12 (NIST SP 800-38D). Random nonces
of AES-GCM alone must not be used with one key more than some billion times, which is a day's work of a task queue.
"""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING, Final

from taskmill.sql import DatabaseError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MISSING: Final = '`encrypt` needs the library cryptography: pip install "taskmill[encrypt]"'
PREFIX: Final = "tm1:"  # of the format above; no JSON begins so

SIZE: Final = 32  # bytes of a key
HEAD: Final = 40  # characters that have a key's id in them
_HALF: Final = 12  # bytes: half a nonce
_TEXTS: Final = 2**24  # that are sealed with one first half of the nonce
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SEALED: Final = re.compile(r"tm1:([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]+={0,2})")


class WrongKeys(ValueError):
    """What is declared are no keys; the text says why, and shows none."""


class KeyMissing(DatabaseError):
    """A text cannot be read: its key is not there, or another. The text names it."""


class Key:
    """A key with its id."""

    def __init__(self, id_: str, secret: bytes) -> None:
        self.id = id_
        self._secret = secret
        self._derived: Callable[[bytes], AESGCM] = lru_cache(1_000)(self._derive)
        self._begin()

    def seal(self, text: str) -> str:
        """Encrypt a text."""
        if next(self._count) >= _TEXTS:
            self._begin()
        prefix, cipher = self._under_way
        nonce = os.urandom(_HALF)
        return prefix + b64encode(nonce + cipher.encrypt(nonce, text.encode(), None)).decode()

    def open(self, sealed: bytes) -> str:
        """Decrypt what :meth:`seal` has written after its prefix; raise KeyMissing where that was another key's."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - of an extra

        cipher = self._derived(sealed[:_HALF])
        try:
            return cipher.decrypt(sealed[_HALF : 2 * _HALF], sealed[2 * _HALF :], None).decode()
        except InvalidTag:
            raise KeyMissing(
                f"the key `{self.id}` is not the one that this was encrypted with, or it was changed since"
            ) from None

    def _begin(self) -> None:
        """Begin to use another first half of nonces: to make it the cipher costs more than to encrypt a text."""
        half = os.urandom(_HALF)
        self._count = count()
        self._under_way = f"{PREFIX}{self.id}:{b64encode(half).decode()}", self._derived(half)

    def _derive(self, half: bytes) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - of an extra

        return AESGCM(derived(self._secret, half))


def derived(secret: bytes, half: bytes) -> bytes:
    """Return the key of AES-256-GCM for the first half of a nonce of XAES-256-GCM."""
    from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415 - of an extra
    from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode  # noqa: PLC0415

    before = CounterLocation.BeforeFixed
    return KBKDFCMAC(
        AES, Mode.CounterMode, SIZE, 2, None, before, None, None, b"X\0" + half
    ).derive(secret)  # fmt: skip


class Keyring:
    """Several keys: the first one encrypts, all decrypt."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = {key.id: key for key in keys}
        self.first = keys[0]

    @classmethod
    def of(cls, declared: str) -> Keyring:
        """Read keys as they are declared, ``ID:BASE64``, divided by commas or spaces.

        Raises:
            WrongKeys: these are none.
        """
        if find_spec("cryptography") is None:
            raise WrongKeys(MISSING)
        keys: dict[str, Key] = {}
        for number, one in enumerate(re.split(r"[\s,]+", declared.strip()), 1):
            id_, _, text = one.partition(":")
            if not _ID.fullmatch(id_):
                raise WrongKeys(
                    f"key {number} is none: write `ID:BASE64`, as `taskmill encrypt new-key` does"
                )
            try:
                secret = b64decode(text, validate=True)
            except binascii.Error:
                secret = b""
            if len(secret) != SIZE:
                raise WrongKeys(
                    f"the key `{id_}` must be {SIZE} bytes in Base64: `taskmill encrypt new-key` makes one"
                )
            if id_ in keys:
                raise WrongKeys(f"two keys have the id `{id_}`: give each its own")
            keys[id_] = Key(id_, secret)
        return cls(list(keys.values()))

    def seal(self, text: str) -> str:
        """Encrypt a text; what is sealed already is left as it is, since its key may be missing here."""
        return text if text.startswith(PREFIX) else self.first.seal(text)

    def open(self, text: str) -> str:
        """Decrypt a text; return one that is not encrypted as it is. Raises KeyMissing."""
        if not text.startswith(PREFIX):
            return text
        found = _SEALED.fullmatch(text)
        if found is None:
            raise KeyMissing("an encrypted value is damaged")
        key = self.keys.get(found[1])
        if key is None:
            raise KeyMissing(f"the key `{found[1]}` is missing: add it to `encrypt.keys` of the task.service")
        return key.open(b64decode(found[2]))


def key_of(text: str) -> str | None:
    """Return the id of the key that a text is encrypted with; None where it is not encrypted."""
    found = _SEALED.fullmatch(text)
    return None if found is None else found[1]


def key_named(head: str) -> str | None:
    """Return the id of the key that a text is encrypted with, of which these are the first characters."""
    return head.split(":")[1] if head.startswith(PREFIX) and head.count(":") > 1 else None


def refuse_sealed(text: str | None) -> None:
    """Raise KeyMissing where a text is encrypted still, since its key is not here: nothing may be made of it."""
    if text is not None and text.startswith(PREFIX):
        raise KeyMissing(f"the key `{key_of(text)}` is missing: add it to `encrypt.keys` of the task.service")


def new_key(id_: str) -> str:
    """Make a key as it is declared. Raises WrongKeys where the id is none."""
    if not _ID.fullmatch(id_):
        raise WrongKeys("an id is 1 to 32 letters, digits, `-` and `_`")
    return f"{id_}:{b64encode(os.urandom(SIZE)).decode()}"
