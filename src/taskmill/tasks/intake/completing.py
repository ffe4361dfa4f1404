"""Completing tasks whose actions have submitted others: those are stored with the result, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import time
from typing import Any, Final

from taskmill.http import BadRequest
from taskmill.sql import Transaction
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.actions.outgoing import SubmitError, Wanted
from taskmill.tasks.ids import from_text
from taskmill.tasks.insist import insist
from taskmill.tasks.intake import once
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows import statements
from taskmill.tasks.rows.store import Store

FAILED_WITH: Final = SubmitError.__name__


class Completing:
    """Stores what an attempt returned together with what it submitted, by a guarded step in one transaction.

    ``failed`` hears where that cannot be, and ``settle`` of an attempt that is no longer its task's own.
    """

    def __init__(self, store: Store[Any, Any], intake: Intake) -> None:
        self._store = store
        self._intake = intake
        self._under_way: set[asyncio.Task[None]] = set()

    def connect(
        self,
        failed: Callable[[TaskMessage, Failure], None],
        settle: Callable[[list[TaskMessage]], None],
    ) -> None:
        """Take those that call back."""
        self._failed = failed
        self._settle = settle

    def stop(self) -> None:
        """Store nothing more: those attempts are made again."""
        for task in self._under_way:
            task.cancel()

    def check(self, body: bytes) -> None:
        """Raise SubmitError where a body asks for what cannot be a task."""
        try:
            self._intake.check(body)
        except BadRequest as error:
            raise SubmitError(_in_words(error)) from None

    def complete(self, message: TaskMessage, result: bytes, wanted: Sequence[Wanted]) -> None:
        """Store a task's JSON result and the tasks that its attempt submitted, with the next commit."""
        try:
            tasks = [self._intake.prepare(body, from_text(id_)) for id_, body in wanted]
        except BadRequest as error:
            self._failed(message, Failure(FAILED_WITH, _in_words(error), final=True))
            return
        if self._intake.tracing is not None:
            self._intake.tracing.submitted(message, tasks)
        self._store.notes.last(message)
        task = asyncio.get_running_loop().create_task(
            self._complete(message, result, tasks, int(time() * 1000))
        )
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _complete(
        self, message: TaskMessage, result: bytes, tasks: Sequence[NewTask], now: int
    ) -> None:
        row = (message.attempt, message.started_at, now, result.decode())
        names = ("attempt_", "started_at_", "finished_at_", "result_")
        values = dict(zip(names, row, strict=True)) | {"id_": message.key, **self._store.owner()}

        def call(transaction: Transaction) -> list[once.Submitted] | None:
            if not transaction.change(self._store.steps.complete, **values):
                # It may have been stored though nobody was told: the answer to a commit can be lost.
                stored = [transaction.fetch(statements.STATUS, id_=new.message.key) for new in tasks[:1]]
                return (
                    [once.Submitted(new.message.key, new.status, rank=new.place.rank) for new in tasks]
                    if any(stored)
                    else None
                )
            return self._intake.adding.submit(transaction, tasks)

        def then(answers: list[once.Submitted] | None) -> None:
            if answers is None:  # it was cancelled, or is run again elsewhere
                self._settle([message])
                return
            self._store.completed([row], [message])
            self._intake.came_to(tasks, answers)

        try:
            await insist(
                lambda: self._store.database.write(call, then), "a result, with what its action submitted,"
            )
        except once.NotUnique:
            text = "an action that the task submitted takes no second task with a key that is taken"
            self._failed(message, Failure(FAILED_WITH, text))
        except BadRequest as error:
            self._failed(message, Failure(FAILED_WITH, _in_words(error)))


def _in_words(error: BadRequest) -> str:
    wrong = "; ".join(f"{one.path}: {one.message}" for one in error.errors)
    return f"the action submitted what can be no task: {wrong or error.detail}"
