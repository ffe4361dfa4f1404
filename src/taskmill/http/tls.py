"""TLS by files, which are read again when they change: certificates are renewed while a server runs."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from taskmill.supervisor import SupervisorError

logger = logging.getLogger(__name__)


class Tls(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How connections are secured."""

    certificate: Annotated[
        str, Meta(min_length=1, description="A PEM file: the certificate, and those between it and its root.")
    ]
    key: Annotated[str, Meta(min_length=1, description="A PEM file: its private key.")]
    password: Annotated[str | None, Meta(description="Of the key; better `${env:NAME}`.")] = None


class TlsFiles:
    """The context of a server's connections. Relative paths are looked up in ``directory``."""

    def __init__(self, tls: Tls, directory: Path) -> None:
        self._certificate = directory / tls.certificate
        self._key = directory / tls.key
        self._password = tls.password
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_RENEGOTIATION
        self.context.set_alpn_protocols(["http/1.1"])
        self._state = self._look()
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise SupervisorError(f"no TLS: {self._mistake(error)}") from None

    def refresh(self) -> None:
        """Read the files again if they have changed. What cannot be read leaves the old certificate in place."""
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            logger.error("the old certificate stays: %s", self._mistake(error))  # noqa: TRY400 - no stack
        else:
            logger.info("%s is read again", self._certificate)

    def _load(self) -> None:
        # Into a context of its own first: a certificate without its key would be half taken over.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key, self._given)
        self.context.load_cert_chain(self._certificate, self._key, self._given)

    def _given(self) -> str:
        return self._password or ""  # never asked for at the terminal

    def _mistake(self, error: OSError) -> str:
        reason = getattr(error, "reason", None) or error.strerror or "no PEM"
        return f"{self._certificate} and {self._key}: {reason}"

    def _look(self) -> list[tuple[int, int] | None]:
        return [_state(self._certificate), _state(self._key)]


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
