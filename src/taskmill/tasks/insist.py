"""Writes that nobody waits for and that must be made in the end, such as after a full disk has room again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from taskmill.sql import Overloaded
from taskmill.sql.errors import DatabaseError

T = TypeVar("T")
logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds after a failure


async def insist(write: Callable[[], Awaitable[T]], what: str) -> T:
    """Call ``write`` until the database takes it, and return its result; ``what`` says in the log what waits."""
    said = False
    while True:
        try:
            return await write()
        except (DatabaseError, Overloaded) as error:
            if not said:
                logger.warning("%s waits for the database: %s", what, error)
            said = True
            await asyncio.sleep(PAUSE)
