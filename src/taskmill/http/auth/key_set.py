"""The public keys of an issuer (JWKS, RFC 7517): from a file or from its URL, and again when they change."""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    import jwt

logger = logging.getLogger(__name__)

TIMEOUT: Final = 10.0  # seconds for an issuer to answer
LONGEST: Final = 2**20  # bytes of its answer
COOLDOWN: Final = 10.0  # seconds between two looks that tokens cause: anybody can make up the name of a key
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


class KeySetError(Exception):
    """The keys cannot be had. The text says why."""


class _Document(msgspec.Struct):
    keys: list[dict[str, Any]]


class PublicKey(NamedTuple):
    """A key, and by which algorithms it may have signed."""

    key: Any
    algorithms: frozenset[str]


class KeySet:
    """The keys by their names; None is the name of one that has none, where it is the only key.

    ``place`` is a URL or a file.
    """

    def __init__(self, place: str | Path, algorithms: Sequence[str]) -> None:
        self._place = place
        self._allowed = frozenset(algorithms)
        self._keys: dict[str | None, PublicKey] = {}
        self._looked_at = -COOLDOWN
        self._looking: asyncio.Task[None] | None = None
        self.problem: str | None = "they have not been fetched yet"
        self.version = 0  # grows with each change

    def find(self, name: str | None) -> PublicKey | None:
        """Return the key of a name."""
        return self._keys.get(name)

    @property
    def may_look(self) -> bool:
        """Whether a look may be worth it for a key that is not known."""
        return self._looking is not None or monotonic() >= self._looked_at + COOLDOWN

    async def look(self) -> None:
        """Fetch the keys; all who want that at the same time wait for one look. What is wrong is logged."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="fetch an issuer's keys")
            self._looking.add_done_callback(self._looked)
        await asyncio.shield(self._looking)

    async def stop(self) -> None:
        """Break a look off."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _looked(self, _: asyncio.Task[None]) -> None:
        self._looking = None

    async def _look(self) -> None:
        self._looked_at = monotonic()
        try:
            keys = read(await asyncio.to_thread(fetch, self._place), self._allowed)
        except KeySetError as error:
            if not self._keys:  # else those known so far go on
                self.problem = str(error)
            logger.warning("the keys at %s cannot be had: %s", self._place, error)
            return
        self.problem = None
        if keys.keys() != self._keys.keys() or any(keys[name] != self._keys[name] for name in keys):
            self._keys = keys
            self.version += 1


def fetch(place: str | Path) -> bytes:
    """Return a document of keys. Redirections are not followed. Raises KeySetError."""
    try:
        if isinstance(place, Path):
            return place.read_bytes()
        request = urllib.request.Request(place, headers={"Accept": "application/json"})  # noqa: S310 - of the registry
        with _OPENER.open(request, timeout=TIMEOUT) as answer:
            body: bytes = answer.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        raise KeySetError(str(getattr(error, "reason", None) or error)) from None
    if len(body) > LONGEST:
        raise KeySetError("the answer is too long")
    return body


def read(document: bytes, allowed: frozenset[str]) -> dict[str | None, PublicKey]:
    """Return the keys of a document that may have signed by one of the algorithms. Raises KeySetError."""
    import jwt  # noqa: PLC0415 - an extra

    try:
        found = msgspec.json.decode(document, type=_Document).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeySetError(f"no JWKS: {error}") from None
    keys: dict[str | None, PublicKey] = {}
    for one in found:
        if one.get("use", "sig") != "sig" or one.get("kty") == "oct":  # a shared secret has no business there
            continue
        try:
            jwk = jwt.PyJWK(one)
        except jwt.PyJWTError:
            continue
        algorithms = allowed.intersection(_algorithms(one, jwk))
        if algorithms:
            keys[one.get("kid")] = PublicKey(jwk.key, algorithms)
    if not keys:
        raise KeySetError("there is no key among them that could have signed a token")
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))  # a token need not name the only one
    return keys


def _algorithms(one: dict[str, Any], jwk: jwt.PyJWK) -> Sequence[str]:
    return _RSA if one["kty"] == "RSA" and "alg" not in one else (jwk.algorithm_name,)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: who can answer for the issuer's URL need not be believed about another."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)
