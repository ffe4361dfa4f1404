"""Adding tasks in a transaction: those that look for no others as rows of a few statements, the rest one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from taskmill.sql import Database, Transaction
from taskmill.tasks.finding import statements as finding
from taskmill.tasks.intake import once
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.rows import statements

Row = tuple[Any, ...]


class Adding:
    """Writes rows of tasks into a database; those of plain ones have a trace where they are ``traced``."""

    def __init__(self, database: Database, *, traced: bool) -> None:
        self._plain = database.compile(statements.ADD_TRACED if traced else statements.ADD)
        self._full = database.compile(statements.ADD_FULL)
        self._index = database.compile(finding.ADD)

    def groups(self, plain: Sequence[Row], full: Sequence[NewTask]) -> list[tuple[str, list[Row]]]:
        """Return the statements and their rows of tasks that look for no others."""
        index = [(*entry, new.message.key) for new in full for entry in new.index]
        groups = (self._plain, list(plain)), (self._full, [new.row() for new in full]), (self._index, index)
        return [(sql, rows) for sql, rows in groups if rows]

    def add(
        self, transaction: Transaction, plain: Sequence[Row], full: Sequence[NewTask]
    ) -> list[once.Submitted]:
        """Store tasks that look for no others; return what the ``full`` ones came to."""
        for sql, rows in self.groups(plain, full):
            transaction.change_all(sql, rows)
        return [once.Submitted(new.message.key, new.status, rank=new.place.rank) for new in full]

    def submit(self, transaction: Transaction, tasks: Sequence[NewTask]) -> list[once.Submitted]:
        """Store tasks, those first that look for no others; return what they came to, in their order.

        Raises what :func:`taskmill.tasks.intake.once.submit` does.
        """
        found = {
            one.id: one
            for one in self.add(transaction, (), [new for new in tasks if not new.looks_for_others])
        }
        return [
            found.get(new.message.key) or once.submit(transaction, new, idempotency=None) for new in tasks
        ]
