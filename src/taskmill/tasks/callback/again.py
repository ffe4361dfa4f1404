"""Tasks that are run again: whoever was told of their last end is told of the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskmill.sql import Database, Transaction
from taskmill.tasks.callback.callbacks import Callbacks
from taskmill.tasks.intake import once
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.message import Dispatchable

Call = Callable[[Transaction], list[Dispatchable]]


class Again:
    """Stores new callbacks of tasks in the transaction that has them run again."""

    def __init__(self, callbacks: Callbacks, intake: Intake) -> None:
        self._callbacks = callbacks
        self._intake = intake

    async def beside(
        self, database: Database, call: Call, queued: Callable[[Sequence[Dispatchable]], None], now: int
    ) -> list[Dispatchable]:
        """Run ``call``, which returns the rows of such tasks; ``queued`` hears of them once they are committed."""

        def both(transaction: Transaction) -> tuple[list[Dispatchable], list[NewTask]]:
            rows = call(transaction)
            news = [new for row in rows for new in self._callbacks.again(transaction, bytes(row[0]), now)]
            for new in news:
                once.store(transaction, new)
            return rows, news

        def then(done: tuple[list[Dispatchable], list[NewTask]]) -> None:
            rows, news = done
            queued(rows)
            if news:
                self._intake.stored(news)

        rows, _ = await database.write(both, then)
        return rows
