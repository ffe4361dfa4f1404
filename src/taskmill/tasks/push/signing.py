"""Signatures by Standard Webhooks (https://www.standardwebhooks.com), version 1: HMAC-SHA256."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes of a secret, by the specification


class Signer:
    """Signs what is sent. Of several secrets each signs, so that a receiver may have any of them: for a change.

    Raises:
        ValueError: a secret is none; the text does not hold it.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [_key(secret) for secret in secrets]

    def headers(self, id_: str, at: int, body: bytes) -> list[tuple[str, str]]:
        """Return the headers of a message that is sent at ``at``, in seconds since 1970."""
        signed = b"%b.%d.%b" % (id_.encode(), at, body)
        signatures = [
            base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in self._keys
        ]
        found = [("webhook-id", id_), ("webhook-timestamp", str(at))]
        if signatures:
            found.append(("webhook-signature", " ".join([f"v1,{one}" for one in signatures])))
        return found


def several(secret: str | list[str] | None) -> list[str]:
    """Return the secrets that an entry declares: none, one or more."""
    return [] if secret is None else [secret] if isinstance(secret, str) else secret


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(
            f"a secret is `{PREFIX}` and {SHORTEST} to {LONGEST} random bytes in Base64: "
            f"write `echo {PREFIX}$(openssl rand -base64 32)`"
        )
    return key
