"""Writes that nobody waits for and that must be made in the end, such as after a full disk has room again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from taskmill.sql import Overloaded
from taskmill.sql.errors import DatabaseError

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds after a failure


async def insist(write: Callable[[], Awaitable[object]], what: str) -> None:
    """Call ``write`` until the database takes it; ``what`` says in the log what waits for that."""
    said = False
    while True:
        try:
            await write()
        except (DatabaseError, Overloaded) as error:
            if not said:
                logger.warning("%s waits for the database: %s", what, error)
            said = True
            await asyncio.sleep(PAUSE)
        else:
            return
