"""The book of a process that has its database for itself: what is claimed stands in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskmill.tasks.cluster.notice import Notice
from taskmill.tasks.cluster.outstanding import Outstanding
from taskmill.tasks.message import TaskMessage


class OwnBook:
    """Claims what this process has published itself, and nobody has yet. Nothing is written for that."""

    def __init__(self, outstanding: Outstanding) -> None:
        self._outstanding = outstanding

    def knows(self, action: str) -> bool:  # noqa: ARG002 - it publishes no others
        """Whether this node can run an action."""
        return True

    async def claim(self, notices: Mapping[bytes, Notice]) -> Mapping[bytes, TaskMessage]:
        """Claim tasks."""
        claimed = {}
        for key in notices:
            entry = self._outstanding.entries.get(key)
            if entry is not None and not entry.claimed:
                self._outstanding.claim(entry)
                claimed[key] = entry.message
        self._outstanding.freed()
        return claimed

    async def give_back(self, messages: Sequence[TaskMessage]) -> None:
        """Forget the claims: the process ends."""
        for message in messages:
            self._outstanding.pop(message.key)

    def ended(self, message: TaskMessage) -> None:
        """Let go of a task."""
        self._outstanding.pop(message.key)
