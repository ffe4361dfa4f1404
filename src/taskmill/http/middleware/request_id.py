"""``http.middleware.request_id``: a name for each request, for those who look for it in logs."""

from __future__ import annotations

import re
from os import urandom
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from taskmill.http.middleware.incoming import Incoming, Middleware
from taskmill.registry import Entry, EntryConfig
from taskmill.supervisor import Context

_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestIdConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Gives each request an id: the client's own, if it sends one, or a new one.

    The answer has it, and the log of a failure.
    """

    header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+$", description="Where it stands.")] = "X-Request-ID"
    accept: Annotated[bool, Meta(description="Whether clients may choose it.")] = True


class RequestId(Middleware):
    """Names requests."""

    kind: ClassVar[str] = "http.middleware.request_id"
    Config: ClassVar[type[EntryConfig]] = RequestIdConfig

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        config: RequestIdConfig = entry.config
        self._header = config.header.lower().encode()
        self._accept = config.accept

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    def meet(self, incoming: Incoming) -> None:
        """Name a request."""
        sent = incoming.header(self._header) if self._accept else None
        name = sent if sent is not None and _ID.fullmatch(sent) else urandom(16).hex().encode()
        incoming.id = name
        incoming.extra.append((self._header, name))
