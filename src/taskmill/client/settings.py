"""Where a client's server is, and how patient the client is."""

from __future__ import annotations

import os
import ssl
from typing import TypedDict

import msgspec

from taskmill import __version__
from taskmill.client.wire import Origin

SERVER = "http://127.0.0.1:8080"


class Setup(TypedDict, total=False):
    """The arguments of a client beside its URL; see :class:`Settings`."""

    token: str
    timeout: float
    retry_for: float
    connections: int
    tls: ssl.SSLContext | None


class Settings(msgspec.Struct, kw_only=True, frozen=True):
    """The arguments of a client.

    ``url`` is TASKMILL_URL, or else this machine's port 8080, ``token`` is TASKMILL_TOKEN, if there is one, and is
    sent as `Authorization: Bearer`. An attempt at a request takes at most ``timeout`` seconds, and a request is
    tried again for ``retry_for`` seconds, where that does no harm. ``connections`` is how many there are at most.
    ``tls`` replaces the usual context of `https`.
    """

    url: str = ""
    token: str = ""
    timeout: float = 30.0
    retry_for: float = 30.0
    connections: int = 16
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        """Check the numbers; raise ValueError."""
        if self.timeout <= 0 or self.retry_for < 0 or self.connections < 1:
            raise ValueError(
                "`timeout` must be over 0, `retry_for` not below 0, and `connections` at least 1"
            )

    def origin(self) -> Origin:
        """Return where the server is; raise AddressError."""
        return Origin.of(self.url or os.environ.get("TASKMILL_URL") or SERVER)

    def context(self, origin: Origin) -> ssl.SSLContext | None:
        """Return how to secure connections; None where they are not."""
        return (self.tls or ssl.create_default_context()) if origin.secure else None

    def headers(self) -> dict[str, str]:
        """Return what each request has."""
        token = self.token or os.environ.get("TASKMILL_TOKEN", "")
        fixed = {"Accept": "application/json", "User-Agent": f"taskmill/{__version__}"}
        return {**fixed, "Authorization": f"Bearer {token}"} if token else fixed
