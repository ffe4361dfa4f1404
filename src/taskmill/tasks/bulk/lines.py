"""Lines of a request that streams: gathered into portions, bounded in number, bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

PORTION = 2_000  # lines
PORTION_BYTES = 2**19
PATIENCE = 0.02  # seconds for which lines wait for more of them


class LineTooLong(Exception):
    """A line has more bytes than a body may have."""


async def portions(chunks: AsyncIterator[bytes], longest: int) -> AsyncIterator[list[bytes]]:
    """Give the lines of a stream, without their ends, as soon as a portion has gathered, or no more come.

    The last line needs no end. An empty line is a line.

    Raises:
        LineTooLong: a line is longer than ``longest`` bytes; those before it have been given.
    """
    rest = b""
    lines: list[bytes] = []
    size = 0
    coming = asyncio.ensure_future(_next(chunks))
    try:
        while True:
            await asyncio.wait([coming], timeout=PATIENCE if lines else None)
            if coming.done():
                chunk = coming.result()
                if chunk is None:
                    break
                coming = asyncio.ensure_future(_next(chunks))
                size += len(chunk)
                *whole, last = chunk.split(b"\n")
                if whole:
                    whole[0] = rest + whole[0]
                    lines += whole
                    rest = b""
                rest += last
                if len(rest) <= longest and len(lines) < PORTION and size < PORTION_BYTES:
                    continue
            if lines:
                yield lines
                lines, size = [], 0
            if len(rest) > longest:
                raise LineTooLong
    finally:
        coming.cancel()
    if rest:
        lines.append(rest)
    if lines:
        yield lines


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)
