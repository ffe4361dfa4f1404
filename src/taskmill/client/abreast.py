"""Doing several things abreast on one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


async def all_of(workers: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run workers to their end; where one fails, stop the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
