"""Batches as they are made, given members, closed, cancelled and looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import time
from typing import Any, Final, NamedTuple

import msgspec

from taskmill.http import BadRequest, FieldError
from taskmill.sql import Transaction
from taskmill.tasks.batches import statements
from taskmill.tasks.batches.ending import Ending
from taskmill.tasks.batches.model import (
    Batch,
    BatchDetails,
    Member,
    Row,
    Summary,
    lost_of,
    members_of,
    shown,
    told,
)
from taskmill.tasks.bulk.batch import Wanted
from taskmill.tasks.bulk.bulk import Bulk, Joining
from taskmill.tasks.follow.followers import Followers
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake import once
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import NewTask, Placing
from taskmill.tasks.model import NULL
from taskmill.tasks.rows import statements as rows

NAMED: Final = 100  # lost members that an answer names
_LAST_ID: Final = b"\xff" * 16
_NONE: Final = msgspec.Raw(b"[]")

# What a task that runs at the end of a batch cannot have.
ON_ITS_OWN: Final = (
    "after", "on_failure", "delay", "run_at", "start_by", "hold", "key", "idempotency_key",
)  # fmt: skip


class Closed(Exception):
    """A batch takes no more members."""


class Replayed(Exception):
    """A batch has been made with an idempotency key before."""

    def __init__(self, id_: bytes) -> None:
        super().__init__()
        self.id = id_


class Made(NamedTuple):
    """A batch that was made, and its members."""

    id: bytes
    members: list[bytes]
    on_complete: bytes | None
    replayed: bool = False


class Batches:
    """Makes batches, and shows them. ``cancel`` cancels tasks."""

    def __init__(
        self,
        intake: Intake,
        followers: Followers,
        placing: Placing,
        cancel: Callable[[Sequence[bytes]], Awaitable[object]],
    ) -> None:
        self._database = intake.database
        self._intake = intake
        self._ending = Ending(self._database, placing, followers.clock, followers.queued, cancel)
        self._followers = followers
        followers.batches = self._ending

    def last(self, body: msgspec.Raw, name: str | None) -> NewTask:
        """Make the task that runs once a batch has ended; raise BadRequest where it cannot be one."""
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            data = msgspec.json.decode(fields.get("data", b"{}"), type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:
            why = "an object with `action`, and `data` that is an object, too"
            raise BadRequest(
                "Name the action that runs at the end.", [FieldError("on_complete", why)]
            ) from None
        wrong = [
            FieldError(f"on_complete.{one}", "not of such a task")
            for one in ON_ITS_OWN
            if fields.get(one, NULL) not in (NULL, _NONE)
        ]
        if "batch" in data:
            wrong.append(FieldError("on_complete.data.batch", "is there by itself, once the batch has ended"))
        if wrong:
            raise BadRequest("It runs once, when the batch has ended.", wrong)
        before = told(msgspec.json.encode(data).decode(), Summary("", name, 0, 0, 0, 0, []))
        try:
            new = self._intake.prepare(msgspec.json.encode({**fields, "data": msgspec.Raw(before.encode())}))
        except BadRequest as error:
            found = [FieldError(f"on_complete.{one.path}", one.message) for one in error.errors]
            raise BadRequest(error.detail, found, error.status) from None
        new.waits = True
        return new

    async def make(
        self,
        bulk: Bulk,
        wanted: Sequence[Wanted],
        *,
        name: str | None,
        last: NewTask | None,
        is_open: bool,
        key: once.IdempotencyKey | None,
    ) -> Made:
        """Make a batch of tasks, all or none; one that is not open takes no more.

        Raises:
            Unwanted: one of them is not to be stored beside those that are there.
            KeyReused: the idempotency key came with something else before.
            DatabaseError: nothing has been stored.
        """
        now = int(time() * 1000)
        id_ = self._intake.new_id()
        on_complete = None if last is None else last.message.key
        row = {"id_": id_, "name_": name, "created_at_": now, "on_complete_": on_complete}

        def enter(transaction: Transaction, count: int) -> None:
            if key is not None:
                _use(transaction, key, id_, now)
            closed = None if is_open else now
            transaction.change(statements.ADD, **row, total_=count, closed_at_=closed)

        try:
            members = await bulk.store(wanted, Joining(id_, enter, last))
        except Replayed as there:
            found = await self._read(statements.ONE, id_=there.id)
            members = [
                one
                for (one,) in await self._read(statements.MEMBERS, id_=there.id, after_=b"", limit_=10_000)
            ]
            return Made(there.id, members, Row(*found[0]).on_complete if found else None, replayed=True)
        self._followers.batch_stored()
        return Made(id_, members, on_complete)

    async def add(self, bulk: Bulk, id_: bytes, wanted: Sequence[Wanted]) -> list[bytes]:
        """Give an open batch more members, all or none; return their ids.

        Raises what :meth:`make` does, and Closed.
        """

        def enter(transaction: Transaction, count: int) -> None:
            if not transaction.change(statements.GROW, id_=id_, count_=count):
                raise Closed

        members = await bulk.store(wanted, Joining(id_, enter))
        self._followers.batch_stored()
        return members

    async def close(self, id_: bytes) -> None:
        """Have an open batch take no more members; one that takes none stays as it is."""
        now = int(time() * 1000)
        await self._database.write(
            lambda transaction: transaction.change(statements.CLOSE, id_=id_, closed_at_=now)
        )
        self._followers.batch_stored()

    async def cancel(self, id_: bytes) -> bool:
        """Cancel the members of a batch and its last task; tell whether it had not ended."""
        now = int(time() * 1000)
        called_off = await self._database.write(
            lambda transaction: transaction.change(statements.CALL_OFF, id_=id_, cancelled_at_=now)
        )
        if called_off:
            await self._ending.call_off(id_)
            await self._ending.look()
            self._followers.batch_stored()
        return bool(called_off)

    async def get(self, id_: bytes) -> BatchDetails | None:
        """Return a batch with its lost members, or None."""
        for found in await self._read(statements.ONE, id_=id_):
            fields = await self._shown(Row(*found))
            lost = await self._read(statements.LOST, id_=id_, limit_=NAMED + 1)
            return BatchDetails(**fields, failed=lost_of(lost[:NAMED]), more=len(lost) > NAMED)
        return None

    async def page(self, before: bytes | None, limit: int) -> tuple[list[Batch], bytes | None]:
        """Return batches before an id, newest first, and the id to go on from where there are more."""
        found = await self._read(statements.PAGE, id_=before or _LAST_ID, limit_=limit + 1)
        batches = [Row(*row) for row in found]
        following = batches[limit - 1].id if len(batches) > limit else None
        return [Batch(**await self._shown(one)) for one in batches[:limit]], following

    async def results(self, id_: bytes, after: bytes | None, limit: int) -> tuple[list[Member], bytes | None]:
        """Return what members came to, after an id, in the order in which they were given; and where to go on."""
        found = await self._read(statements.RESULTS, id_=id_, after_=after or b"", limit_=limit + 1)
        return members_of(found[:limit]), found[limit - 1][0] if len(found) > limit else None

    async def _shown(self, row: Row) -> dict[str, Any]:
        counted = await self._read(statements.COUNTS, id_=row.id) if row.counts is None else None
        return shown(row, counted)

    async def _read(self, statement: Any, **values: Any) -> list[Any]:
        sql, arguments = self._database.bind(statement, values)
        return await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())


def _use(transaction: Transaction, key: once.IdempotencyKey, id_: bytes, now: int) -> None:
    """Note that an idempotency key has made a batch; raise Replayed where it has made one before."""
    name = f"batch {key.key}"
    transaction.serialize(f"idempotency {name}")
    for body, there in transaction.fetch(rows.USED_KEY, key_=name, since_=now - once.REMEMBERED):
        if body != key.body:
            raise once.KeyReused
        raise Replayed(there)
    transaction.change(rows.DROP_KEY, key_=name)
    transaction.change(rows.USE_KEY, key_=name, body_=key.body, task_id_=id_, created_at_=now)


def text_of(made: Made) -> tuple[str, list[str], str | None]:
    """Return the ids of a batch, its members and its last task as people write them."""
    last = None if made.on_complete is None else to_text(made.on_complete)
    return to_text(made.id), [to_text(one) for one in made.members], last
