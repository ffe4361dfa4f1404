"""``http.middleware.compression``: answers compressed by gzip."""

from __future__ import annotations

import gzip
import re
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from taskmill.http.middleware.incoming import Incoming, Middleware, Outgoing
from taskmill.registry import Entry, EntryConfig
from taskmill.supervisor import Context
from taskmill.units import Size

_TEXT: Final = re.compile(rb"(text/|application/([a-z.+-]*\+)?(json|xml)|image/svg)")
_VARY: Final = (b"vary", b"accept-encoding")


class CompressionConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Compresses answers for clients that take gzip. What is streamed goes as it is."""

    smallest: Annotated[Size, Meta(description="Shorter answers go as they are.")] = Size(1024)
    largest: Annotated[
        Size,
        Meta(
            description="Longer ones, too: compressing 1 MiB takes the server some 10 ms, in which it does nothing "
            "else."
        ),
    ] = Size(2**20)
    level: Annotated[int, Meta(ge=1, le=9, description="From quick to small.")] = 1


class Compression(Middleware):
    """Compresses answers."""

    kind: ClassVar[str] = "http.middleware.compression"
    Config: ClassVar[type[EntryConfig]] = CompressionConfig

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        self._config: CompressionConfig = entry.config

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    def meet(self, incoming: Incoming) -> None:
        """Compress the answer, if the client takes that."""
        accepted = incoming.header(b"accept-encoding")
        takes = accepted is not None and takes_gzip(accepted)
        incoming.finish.append(self._compress if takes else _vary)

    def _compress(self, out: Outgoing) -> None:
        body, config = out.body, self._config
        if (
            body is None
            or b"content-encoding" in out.own
            or not config.smallest <= len(body) <= config.largest
            or not _TEXT.match(out.media_type)
        ):
            return
        out.headers.append(_VARY)
        out.body = gzip.compress(body, config.level, mtime=0)
        out.headers.append((b"content-encoding", b"gzip"))


def _vary(out: Outgoing) -> None:
    if _TEXT.match(out.media_type):
        out.headers.append(_VARY)


def takes_gzip(accepted: bytes) -> bool:
    """Tell whether an ``Accept-Encoding`` allows gzip."""
    for part in accepted.lower().split(b","):
        name, _, quality = part.partition(b";")
        if name.strip() in (b"gzip", b"x-gzip"):
            return quality.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False
