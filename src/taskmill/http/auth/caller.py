"""Who asks, and what they may."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

# What a caller may be given. `observe` sees which tasks there are and how they went, but not what is in them.
Scope = Literal["submit", "read", "observe", "work", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

# What an endpoint may ask for: one of them, either of two, or nothing at all.
Needed = Literal["public", "submit", "read", "observe", "work", "submit or work", "admin"]

_IMPLIED: Final[dict[str, frozenset[str]]] = {
    "read": frozenset({"read", "observe"}),
    "submit": frozenset({"submit", "submit or work"}),
    "work": frozenset({"work", "submit or work"}),
    "admin": frozenset({*SCOPES, "submit or work"}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has asked. ``id`` is for logs and counts, and no secret.

    ``scopes`` are with all that they imply. ``queues`` and ``actions`` are the only ones that the caller may have to
    do with, None for all.
    """

    id: str
    scopes: frozenset[str]
    queues: frozenset[str] | None = None
    actions: frozenset[str] | None = None

    @property
    def limited(self) -> bool:
        """Whether some queues or actions are none of the caller's business."""
        return self.queues is not None or self.actions is not None

    def may_see(self, queue: str, action: str) -> bool:
        """Tell whether tasks of an action in a queue are the caller's business."""
        return (self.queues is None or queue in self.queues) and (
            self.actions is None or action in self.actions
        )


def implied(scopes: Iterable[str]) -> frozenset[str]:
    """Return scopes with all that they imply; names that are none are left out."""
    found: frozenset[str] = frozenset()
    for scope in scopes:
        if scope in SCOPES:
            found |= _IMPLIED.get(scope, frozenset({scope}))
    return found
