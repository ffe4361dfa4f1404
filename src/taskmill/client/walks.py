"""Walks over many tasks in several requests: which request comes next, and what has come of those before."""

from __future__ import annotations

from collections.abc import Mapping

from taskmill.client import calls
from taskmill.client.model import CanaryOutcome, Changed, Page, Task


class Pages:
    """Reads a list page by page, from the newest on, ``limit`` tasks at most."""

    def __init__(self, filters: Mapping[str, object], limit: int | None) -> None:
        self._filters = filters
        self._left = limit
        self._cursor: str | None = None
        self._over = limit is not None and limit <= 0

    def following(self) -> calls.Call[Page] | None:
        """Return the next request; None at the end."""
        size = calls.STEP if self._left is None else min(calls.STEP, self._left)
        return None if self._over else calls.page(self._filters, self._cursor, size)

    def take(self, page: Page) -> list[Task]:
        """Take the answer, and return its tasks."""
        if self._left is not None:
            self._left -= len(page.tasks)
        self._cursor = page.next
        self._over = page.next is None or self._left == 0
        return page.tasks


class Many:
    """Changes all tasks that pass the filters, a step at a time, ``canary`` of them first."""

    def __init__(self, verb: str, filters: Mapping[str, object], canary: int | None = None) -> None:
        self.count = 0
        self._verb = verb
        self._filters = filters
        self._first: dict[str, object] = {} if canary is None else {"canary": canary, "limit": canary}
        self._cursor: str | None = None
        self._over = False
        self._stopped = False
        self._canary: CanaryOutcome | None = None

    def counting(self) -> calls.Call[Changed]:
        """Return the request that only counts them."""
        return calls.change_many(self._verb, {**self._filters, "dry_run": True})

    def following(self) -> calls.Call[Changed] | None:
        """Return the next request; None at the end."""
        if self._over:
            return None
        how, self._first = self._first, {}
        cursor = {} if self._cursor is None else {"cursor": self._cursor}
        return calls.change_many(self._verb, {**self._filters, "limit": calls.STEP, **cursor, **how})

    def take(self, changed: Changed) -> None:
        """Take the answer."""
        self.count += changed.count
        self._cursor = changed.next
        self._stopped = changed.stopped
        self._canary = self._canary or changed.canary
        self._over = changed.stopped or changed.next is None

    def outcome(self) -> Changed:
        """Return what was done by all requests together."""
        return Changed(count=self.count, stopped=self._stopped, canary=self._canary)
