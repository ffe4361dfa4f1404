"""Draining an outbox: its rows become tasks, and go.

Where the table stands in the database of the tasks, one transaction does both. Where it does not, each row gets a
token first, then its task is stored with that as its idempotency key, and then the row goes: what a crash in between
leaves is found again, and its task is there already. A row's own key would not do, since a later row may get it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from taskmill.http import BadRequest
from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake import once
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.outbox.table import Outbox, Row

logger = logging.getLogger(__name__)

PAUSE = 1.0  # seconds after a failure
FULL = 0.5  # seconds until the next look where there is no room for tasks


class Drain:
    """Drains a table, ``batch`` rows at a time; ``poll`` is the rest in seconds where there are none."""

    def __init__(
        self, name: str, database: Database, outbox: Outbox, intake: Intake, batch: int, poll: float
    ) -> None:
        self._name = name
        self._database = database
        self._outbox = outbox
        self._intake = intake
        self._batch = batch
        self._poll = poll
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to drain."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Drain no more; what is left waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def drain(self) -> int:
        """Drain the first rows, a batch at most; return how many there were."""
        sql, arguments = self._database.bind(self._outbox.waiting, {"limit_": self._batch})
        found = await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
        rows = [self._outbox.read(row) for row in found]
        wanted: list[tuple[Row, NewTask]] = []
        refused: dict[Any, str] = {}
        for row in rows:
            try:
                wanted.append((row, self._intake.prepare(row.body())))
            except BadRequest as error:
                refused[row.key] = (
                    "; ".join(f"{one.path}: {one.message}" for one in error.errors) or error.detail
                )
        if self._database is self._intake.database:
            await self._move(wanted, refused)
        else:
            await self._copy(wanted, refused)
        for key, why in refused.items():
            logger.error("row %r of outbox %s cannot be a task: %s", key, self._name, why)
        return len(rows)

    async def _move(self, wanted: Sequence[tuple[Row, NewTask]], refused: dict[Any, str]) -> None:
        def call(transaction: Transaction) -> list[once.Submitted | None]:
            self._refuse(transaction, refused)
            return [
                # Whoever removes the row has it: another node may drain the same table.
                self._submit(transaction, new, None) if self._remove(transaction, row) else None
                for row, new in wanted
            ]

        await self._intake.submit_together([new for _, new in wanted], call)

    async def _copy(self, wanted: Sequence[tuple[Row, NewTask]], refused: dict[Any, str]) -> None:
        def mark(transaction: Transaction) -> list[str | None]:
            self._refuse(transaction, refused)
            return [self._token(transaction, row) for row, _ in wanted]

        def store(transaction: Transaction) -> list[once.Submitted | None]:
            return [
                self._submit(transaction, new, once.idempotency_key(f"outbox:{token}", b""))
                if token
                else None
                for (_, new), token in zip(wanted, tokens, strict=True)
            ]

        def remove(transaction: Transaction) -> None:
            for row, _ in wanted:
                self._remove(transaction, row)

        tokens = await self._database.write(mark)
        await self._intake.submit_together([new for _, new in wanted], store)
        await self._database.write(remove)

    def _token(self, transaction: Transaction, row: Row) -> str | None:
        """Return the token of a row, which may have one from before; None where another node has drained it."""
        transaction.change(self._outbox.mark, key_=row.key, token_=uuid4().hex)
        rows = transaction.fetch(self._outbox.token, key_=row.key)
        return str(rows[0][0]) if rows else None

    def _submit(
        self, transaction: Transaction, new: NewTask, key: once.IdempotencyKey | None
    ) -> once.Submitted | None:
        try:
            return once.submit(transaction, new, idempotency=key)
        except once.NotUnique as error:
            logger.warning("a row of outbox %s is task %s already", self._name, to_text(error.id))
            return None

    def _remove(self, transaction: Transaction, row: Row) -> bool:
        return bool(transaction.change(self._outbox.remove, key_=row.key))

    def _refuse(self, transaction: Transaction, refused: dict[Any, str]) -> None:
        for key, why in refused.items():
            transaction.change(self._outbox.refuse, key_=key, error_=why)

    async def _run(self) -> None:
        while True:
            rest = FULL
            if not self._intake.full:
                try:
                    rest = 0.0 if await self.drain() >= self._batch else self._poll
                    self._failing = False
                except (DatabaseError, Overloaded) as error:
                    if not self._failing:
                        logger.warning("outbox %s cannot be drained, trying again: %s", self._name, error)
                    self._failing = True
                    rest = PAUSE
                except Exception:  # whatever it is, later rows are still to be looked for
                    logger.exception("outbox %s cannot be drained, trying again", self._name)
                    rest = PAUSE
            await asyncio.sleep(rest)
