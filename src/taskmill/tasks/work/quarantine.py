"""Quarantine: a task that kills the server must not use up the attempts of those that run beside it."""

from __future__ import annotations

import asyncio

from taskmill.tasks.message import TaskMessage


class Quarantine:
    """Where suspects run: tasks of which one may have killed the last run.

    They run beside one another, and each death costs all of them an attempt. The last attempt of each is
    therefore made alone among them: the innocent come through it, and the one to blame is found.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._alone = False
        self._left = asyncio.Event()

    async def enter(self, message: TaskMessage) -> None:
        """Wait until the suspect may run. It leaves as it is settled: when its end is stored."""
        last = message.attempt >= message.max_attempts
        while self._alone or (last and self._inside):
            await self._left.wait()
        self._inside += 1
        self._alone = last
        message.on_settled(self._leave)

    def _leave(self) -> None:
        self._inside -= 1
        self._alone = False
        self._left.set()
        self._left = asyncio.Event()
