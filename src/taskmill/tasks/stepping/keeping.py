"""Keeping: where results of steps are stored, and read again by later attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import time
from typing import Any

from taskmill.sql import Transaction
from taskmill.tasks.insist import insist
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.store import Store
from taskmill.tasks.stepping import statements
from taskmill.tasks.stepping.book import Step
from taskmill.tasks.stepping.questions import decode_question, encode
from taskmill.tasks.work.isolated import sender_of


class Keeping:
    """Keeps steps where a store has their tasks. While the database is away, steps wait for it."""

    def __init__(self, store: Store[Any, Any], reader: Reader) -> None:
        self._database = store.database
        self._reader = reader
        self._node = store.node
        self._keep = statements.KEEP if store.node is None else statements.KEEP_SHARED
        self._answering: set[asyncio.Task[None]] = set()

    async def steps(self, key: bytes) -> Sequence[Step]:
        """Return the steps that a task has taken, in the order of their ends."""
        rows = await insist(lambda: self._reader.read(statements.STEPS, {"id_": key}), "a task's steps")
        return [Step(*row) for row in rows]

    async def keep(self, key: bytes, attempt: int, step: Step) -> bool:
        """Store a step; return false where the attempt that took it is no longer its task's own."""
        values = {
            "id_": key,
            "attempt_": attempt,
            "task_id_": key,
            "number_": step.number,
            "name_": step.name,
            "by_": attempt,
            "started_at_": step.started_at,
            "ended_at_": int(time() * 1000),
            "result_": step.result,
            **({} if self._node is None else {"node_": self._node()}),
        }

        def call(transaction: Transaction) -> bool:
            # It may be there though nobody was told: the answer to a commit can be lost.
            kept = transaction.fetch(statements.NAME, id_=key, number_=step.number)
            return kept == [(step.name,)] or bool(transaction.change(self._keep, **values))

        return await insist(lambda: self._database.write(call), f"step {step.name!r}")

    def answer(self, payload: bytes, question: bytes, reply: Callable[[bytes], None]) -> None:
        """Answer what a worker process asks while it runs a task."""
        id_, attempt = sender_of(payload)
        step = decode_question(question)
        asked: Coroutine[Any, Any, object]
        asked = self.steps(id_) if step is None else self.keep(id_, attempt, step)

        async def tell() -> None:
            reply(encode(await asked))

        answering = asyncio.get_running_loop().create_task(tell())
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)
