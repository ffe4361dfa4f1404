"""Messages of rows: what a dispatcher hands out."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.message import Dispatchable, TaskMessage, from_row

logger = logging.getLogger(__name__)


class Making:
    """Makes messages. Rows of an action that this application lacks stay rows: the next may know it.

    ``others`` stands in for it where other nodes may know it now.
    """

    def __init__(self, catalog: Catalog, others: Registered | None = None) -> None:
        self._catalog = catalog
        self._others = others

    def messages(
        self, rows: Sequence[Dispatchable], *, suspect: bool = False, first: bool = False
    ) -> list[TaskMessage]:
        """Make messages of rows, in their order."""
        messages = []
        unknown: set[str] = set()
        for row in rows:
            registered = self._catalog.find(row[1]) or self._others
            if registered is None or not registered.waits_in(row[5]):
                unknown.add(row[1])
            else:
                messages.append(from_row(row, registered, suspect=suspect, first=first))
        if unknown:
            logger.error(
                "%d tasks wait: this application has no action %s",
                len(rows) - len(messages), ", ".join(map(repr, sorted(unknown)[:10])),
            )  # fmt: skip
        return messages
