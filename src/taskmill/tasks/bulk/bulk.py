"""Storing many tasks at once: rows that nobody looks at are written as they are, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from taskmill.http import BadRequest, Caller
from taskmill.sql import Transaction
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.bulk.batch import Batch, Wanted, read
from taskmill.tasks.events.feed import Feed
from taskmill.tasks.ids import IdSource, to_text
from taskmill.tasks.intake import once
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import NewTask, Placing
from taskmill.tasks.intake.submission import Submission
from taskmill.tasks.rights.rights import check_callback, check_submission
from taskmill.tasks.usage.ledger import Ledger

if TYPE_CHECKING:
    from taskmill.tasks.tracing.tracing import Headers, Tracing

Refused = once.NotUnique | once.KeyReused | BadRequest


class Joining(NamedTuple):
    """A batch whose members tasks become. ``enter`` makes place for so many in it, in their transaction.

    ``last`` is stored with them: the task that runs once the batch has ended.
    """

    id: bytes
    enter: Callable[[Transaction, int], None]
    last: NewTask | None = None


class Bulk:
    """Stores tasks of many bodies, and has them dispatched. ``queue`` is that of plain tasks."""

    def __init__(self, catalog: Catalog, ids: IdSource, placing: Placing, queue: str, intake: Intake) -> None:
        self._catalog = catalog
        self._ids = ids
        self._placing = placing
        self._queue = queue
        self._intake = intake
        self.feed = Feed()  # hears which tasks are new
        self._caller: Caller | None = None
        self._ledger: Ledger | None = None
        self.tracing: Tracing | None = None
        self._headers: Headers = ()

    @property
    def full(self) -> bool:
        """Whether as many tasks wait or run as may."""
        return self._intake.full

    def of(self, caller: Caller | None, ledger: Ledger | None) -> Bulk:
        """Return what stores tasks of a caller, and notes them in a ledger: only those that it may submit."""
        if caller is None:
            return self
        own = copy(self)
        own._caller, own._ledger = caller, ledger
        return own

    def part_of(self, headers: Headers) -> Bulk:
        """Return what stores tasks as a part of the trace that a request's headers tell of, where that is wanted."""
        if self.tracing is None:
            return self
        own = copy(self)
        own._headers = headers
        return own

    def read(self, body: bytes) -> Wanted:
        """Read one body; raise BadRequest where it cannot be a task."""
        wanted = read(body, self._catalog, self._placing)
        if self._caller is None:
            return wanted
        submission = wanted.submission
        if isinstance(submission, Submission) and submission.callback is not None:
            check_callback(self._caller)
        if self._caller.limited:
            check_submission(self._caller, wanted.queue(self._placing), submission.action)
        return wanted

    async def store(self, wanted: Sequence[Wanted], joining: Joining | None = None) -> list[bytes]:
        """Store tasks, all or none, as members of a batch if that is given; return their ids.

        Raises:
            Unwanted: one of them is not to be stored beside those that are there.
            Exception: whatever ``joining.enter`` raises.
            DatabaseError: none has been stored.
            Overloaded: the same.
        """
        with self._sending(wanted) as trace:
            batch = self._batch(wanted, trace, None if joining is None else joining.id)
            if joining is not None:
                if joining.last is not None and trace is not None:
                    joining.last.part_of(trace)
                await self._store_members(batch, joining)
            elif batch.looking:
                await self._store_looking(batch, batch.plain, batch.full)
            elif batch.ids:
                await self._store_rows(batch)
        self._note(batch)
        return batch.ids

    async def store_each(self, wanted: Sequence[Wanted]) -> list[bytes | once.Submitted | Refused]:
        """Store those of the tasks that can be; return for each its id, what was there, or why it is not stored.

        Raises:
            DatabaseError: none has been stored, or none of those with keys.
            Overloaded: the same.
        """
        refused: dict[int, Refused] = {}
        with self._sending(wanted) as trace:
            batch = self._batch(wanted, trace)
            if batch.plain or batch.full:
                await self._store_rows(batch)
            if batch.looking:
                await self._store_looking(batch, (), (), refused)
        self._note(batch, refused)
        if not (refused or batch.there):
            return list(batch.ids)
        exceptions: dict[int, once.Submitted | Refused] = {**batch.there, **refused}
        return [exceptions.get(place, id_) for place, id_ in enumerate(batch.ids)]

    def _note(self, batch: Batch, refused: Collection[int] = ()) -> None:
        """Note new tasks of a caller."""
        if self._ledger is not None and self._caller is not None:
            new = (
                id_
                for place, id_ in enumerate(batch.ids)
                if place not in batch.there and place not in refused
            )
            self._ledger.submitted(self._caller.id, new)

    def _sending(self, wanted: Sequence[Wanted]) -> AbstractContextManager[str | None]:
        """Return what gives the trace that tasks are part of, and ends its span once they are stored."""
        if self.tracing is None or not wanted:
            return nullcontext()
        queues = {self._queue if one.plain else one.queue(self._placing) for one in wanted}
        return self.tracing.sending_many(self._headers, queues, len(wanted))

    def _batch(self, wanted: Sequence[Wanted], trace: str | None, of: bytes | None = None) -> Batch:
        batch = Batch(trace)
        batch.make(wanted, self._ids, self._placing, self._queue, of)
        return batch

    async def _store_members(self, batch: Batch, joining: Joining) -> None:
        last = () if joining.last is None else (joining.last,)
        looking = [new for _, new, _ in batch.looking]

        def call(transaction: Transaction) -> list[once.Submitted]:
            joining.enter(transaction, len(batch.ids))
            answers = self._intake.adding.add(transaction, (), batch.full)
            for place, new, key in batch.looking:
                try:
                    answers.append(_alone(once.submit(transaction, new, idempotency=key)))
                except (once.NotUnique, once.KeyReused, BadRequest) as error:
                    raise Unwanted(place, error) from None
            return answers + [_alone(one) for one in self._intake.adding.submit(transaction, last)]

        await self._intake.submit_together([*batch.full, *looking, *last], call)

    async def _store_rows(self, batch: Batch) -> None:
        database = self._intake.database
        plain, full = batch.plain, batch.full
        groups = self._intake.adding.groups(plain, full)
        with self._intake.bundle(batch.ids[0]) as stored:

            def then() -> None:
                stored(batch.ids[-1], len(plain))
                self._intake.stored(full)
                self.feed.noted(batch.ids)

            await database.writer.store(groups, then)

    async def _store_looking(
        self,
        batch: Batch,
        plain: Sequence[tuple[Any, ...]],
        full: Sequence[NewTask],
        refused: dict[int, Refused] | None = None,
    ) -> None:
        """Store tasks that look for others, and with them those that do not, in one transaction.

        One that is refused breaks it off, unless ``refused`` is there to take it, by its place.
        """

        def call(transaction: Transaction) -> list[once.Submitted | None]:
            if refused is not None:
                refused.clear()  # the transaction may be run again
            answers: list[once.Submitted | None] = [*self._intake.adding.add(transaction, plain, full)]
            for place, new, key in batch.looking:
                try:
                    answers.append(once.submit(transaction, new, idempotency=key))
                except (once.NotUnique, once.KeyReused, BadRequest) as error:
                    if refused is None:
                        raise Unwanted(place, error) from None
                    refused[place] = error
                    answers.append(None)
            return answers

        news = [*full, *(new for _, new, _ in batch.looking)]
        with self._intake.bundle(batch.ids[0]) as stored:
            answers = await self._intake.submit_together(news, call)
            stored(batch.ids[-1], len(plain))
            self.feed.noted(batch.ids)
        for (place, _, _), answer in zip(batch.looking, answers[len(full) :], strict=True):
            if answer is not None:
                batch.ids[place] = answer.id
                if answer.replayed or answer.duplicate:
                    batch.there[place] = answer


class Unwanted(Exception):
    """One of many tasks is not to be stored; ``place`` is which, ``why`` the reason."""

    def __init__(self, place: int, why: Refused) -> None:
        super().__init__()
        self.place = place
        self.why = why


def _alone(submitted: once.Submitted) -> once.Submitted:
    """Raise NotUnique where a member of a batch is there already: it may be another's."""
    if submitted.duplicate or submitted.replayed:
        raise once.NotUnique(submitted.id)
    return submitted


def keyed(wanted: Wanted, key: str, body: bytes) -> Wanted:
    """Return a wanted task with an idempotency key, unless it has one of its own."""
    return wanted if wanted.key is not None else wanted._replace(key=once.idempotency_key(key, body))


def why(error: Refused) -> str:
    """Return in words why a task is not stored."""
    if isinstance(error, once.NotUnique):
        return f"task {to_text(error.id)} has this key already, and its action takes no second"
    if isinstance(error, BadRequest):
        return "; ".join(f"{one.path}: {one.message}" for one in error.errors)
    return "its idempotency key came with another body before"
