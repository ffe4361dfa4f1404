"""Edges: which task waits for which, as it is submitted."""

from __future__ import annotations

from taskmill.http import BadRequest, FieldError
from taskmill.sql import Transaction
from taskmill.tasks.follow import statements
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.rows import sharing


def add(transaction: Transaction, new: NewTask) -> None:
    """Have a task that has just been stored wait for those that it follows; raise BadRequest where one is missing.

    Nothing is locked, and those that have ended are not told apart: once this is committed, a look at the rows finds
    that. An end that is committed before is seen by that look, and one after it makes a look of its own.
    """
    values = {"follower_": new.message.key, "anyhow_": int(new.anyhow)}
    for first in range(0, len(new.after), sharing.MOST):
        part = new.after[first : first + sharing.MOST]
        count, keys = sharing.keys(part)
        if transaction.change(statements.add(count), **keys, **values) < len(part):
            found = {bytes(row[0]) for row in transaction.fetch(sharing.states(count), **keys)}
            wrong = [
                FieldError(f"after[{place}]", "no task has this id, or it was pruned")
                for place, id_ in enumerate(part, first)
                if id_ not in found
            ]
            raise BadRequest("A task can follow those alone that are there.", wrong)
