"""A batch: what the writer gives its thread to run in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskmill.sql.writer import Groups, Lane, Row

# A call, who waits for it, and what hears of its value before anything of a later commit is reported.
Call = tuple[Callable[[Any], Any], asyncio.Future[Any], Callable[[Any], None] | None]


@dataclass(slots=True, eq=False)
class Bundle:
    """Rows of several statements that are stored together or not at all."""

    groups: Groups
    stored: asyncio.Future[None]
    then: Callable[[], None] | None


@dataclass(slots=True)
class Batch:
    """Rows of lanes with whoever waits for them, bundles of rows, and calls, in the order in which they run."""

    groups: list[tuple[Lane[Any], list[Row], list[Any]]]
    bundles: list[Bundle]
    calls: list[Call]
    staged: bool = False  # the groups of the lanes have been run already
    changed: Sequence[int] = ()  # rows, by each group; those of the lanes come first

    def statements(self) -> Groups:
        """Return what is still to be run, but for the calls."""
        lanes = [] if self.staged else [(lane.sql, rows) for lane, rows, _ in self.groups]
        return lanes + [group for bundle in self.bundles for group in bundle.groups]

    def parts(self) -> list[Batch]:
        """Divide the batch, in order; empty where that would part nothing."""
        kinds = [Batch(self.groups, [], []), Batch([], self.bundles, []), Batch([], [], self.calls)]
        kinds = [one for one in kinds if one.groups or one.bundles or one.calls]
        if len(kinds) > 1:
            return kinds
        middle = len(self.bundles) // 2
        if middle:
            return [Batch([], self.bundles[:middle], []), Batch([], self.bundles[middle:], [])]
        rows = [
            (lane, [row], [waiter])
            for lane, rows, waiters in self.groups
            for row, waiter in zip(rows, waiters, strict=True)
        ]
        middle = len(rows) // 2
        return [Batch(rows[:middle], [], []), Batch(rows[middle:], [], [])] if middle else []
