"""Pruning the ended tasks that are found by what stands in their data, such as all of one customer."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.retention import statements
from taskmill.tasks.retention.pruning import EVER, Pruner, Stretch
from taskmill.tasks.retention.retention import REQUEST, Pruned
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.listing import Listing

BATCH = 100  # tasks in one transaction


async def prune_found(
    pruner: Pruner, listing: Listing, selections: Mapping[Status, Selection], before: int | None
) -> Pruned:
    """Prune the tasks of each selection, which are of one state; those that ended before a time, or all of them.

    Stops after some seconds, and tells whether there is more to do.
    """
    end = monotonic() + REQUEST
    count = 0
    for status, selection in selections.items():
        shelf = statements.tasks(status)
        cursor: bytes | None = None
        while True:
            keys, cursor = await listing.keys(selection, cursor, BATCH)
            stretches = [Stretch(shelf, key, key) for key in keys]
            if stretches:
                count += await pruner.drop(stretches, EVER if before is None else before)
            if cursor is None:
                break
            if monotonic() > end:
                return Pruned(count, more=True)
    return Pruned(count, more=False)
