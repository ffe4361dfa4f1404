"""Both ends of a move: what they say of it, from its beginning to the moment that makes the new one the truth."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

from taskmill.sql import Database, Transaction
from taskmill.tasks.cluster import statements
from taskmill.tasks.cluster.beat import read_nodes
from taskmill.tasks.move import journal, schema, tables
from taskmill.tasks.move.copying import Copy
from taskmill.tasks.move.journal import SOURCE, TARGET, End
from taskmill.tasks.service import TaskService


class Refused(Exception):
    """The tasks cannot move there. The message says why, and what to do."""


class Late(Exception):
    """Something has changed that was not copied: copy it, then try again."""


def _run(text: str, connection: Any) -> None:
    if text:
        connection.execute(text)


async def begin(source: Database, target: Database, entry: str) -> tuple[str, int]:
    """Have changes noted from now on; return where the copy goes on, nothing if at its beginning, and what it has.

    Raises Refused where the target holds what is not this move's.
    """
    here = await source.write(lambda transaction: journal.find(transaction, SOURCE))
    there = await target.write(lambda transaction: journal.find(transaction, TARGET))
    if here is not None and there is not None and here.id == there.id:
        # It may say that all has arrived: a crash came just before the old one said the same.
        await target.write(lambda transaction: journal.change(transaction, TARGET, journal.ARRIVING))
        return there.place, there.copied
    if there is None:
        if await target.write(lambda transaction: transaction.fetch(tables.ANY_TASK)):
            raise Refused(f"{target.place} has tasks of its own: name an empty database")
    elif there.state != journal.ARRIVING:
        raise Refused(f"{target.place} holds tasks that moved there before: name an empty database")
    elif there.other != source.place:
        raise Refused(f"{target.place} holds an unfinished copy of {there.other}: name an empty database")
    id_ = uuid4().bytes
    await target.write(
        lambda transaction: journal.put(transaction, End(TARGET, id_, source.place, journal.ARRIVING))
    )
    await Copy(source, target).clear()
    await _note(source, End(SOURCE, id_, target.place, journal.COPYING, entry=entry))
    return "", 0


async def see_others_gone(tasks: TaskService) -> None:
    """Raise Refused where other nodes use the database: they would not hear that the tasks have gone."""
    database = tasks.store.database
    if not database.shared:
        return
    rows = await database.write(lambda transaction: transaction.fetch(statements.NODES))
    names = [node.name for node in read_nodes(rows) if node.id != tasks.nodes.id]
    if names:
        raise Refused(f"other nodes use the database: stop them first ({', '.join(names)})")


async def _note(source: Database, end: End) -> None:
    """Note each change from now on, and forget those of a move before."""

    def say(transaction: Transaction) -> None:
        transaction.change(tables.FORGET_ALL)
        journal.put(transaction, end)

    def call(connection: Any) -> None:
        _run(schema.NOTE_NO_MORE[source.dialect], connection)
        _run(schema.NOTE[source.dialect], connection)
        say(Transaction(source, connection))

    await source.writer.run(call)


async def give_up(source: Database) -> None:
    """Note changes no more: the move is off."""

    def call(connection: Any) -> None:
        _run(schema.NOTE_NO_MORE[source.dialect], connection)
        transaction = Transaction(source, connection)
        transaction.change(tables.FORGET_ALL)
        journal.remove(transaction, SOURCE)

    await source.writer.run(call)


async def forget(target: Database) -> None:
    """Remove an unfinished copy."""
    await Copy(target, target).clear()
    await target.write(lambda transaction: journal.remove(transaction, TARGET))


async def settle(source: Database, target: Database) -> None:
    """Make the new database the truth, in one commit of the old one.

    Raises Late where a change was made that has not been copied. Then the old one is the truth still.
    """
    await target.write(lambda transaction: journal.change(transaction, TARGET, journal.ARRIVED))

    def call(connection: Any) -> None:
        _run(schema.LOCK[source.dialect], connection)
        transaction = Transaction(source, connection)
        if transaction.fetch(tables.COUNT_CHANGES) != [(0,)]:
            raise Late
        journal.change(transaction, SOURCE, journal.MOVED)
        _run(schema.NOTE_NO_MORE[source.dialect], connection)
        _run(schema.CLOSE[source.dialect], connection)

    try:
        await source.writer.run(call)
    except Late:
        await target.write(partial(journal.change, side=TARGET, state=journal.ARRIVING))
        raise
