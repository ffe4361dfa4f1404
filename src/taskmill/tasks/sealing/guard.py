"""Before a task queue starts: whether it has the keys that its database was written with."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from time import time
from typing import Any, Final

from sqlalchemy import Insert, Select, bindparam, insert, select

from taskmill.registry import Mistake
from taskmill.sql import Database, DatabaseError, Transaction
from taskmill.supervisor import Context
from taskmill.tasks.actions.action import Action
from taskmill.tasks.config import Encrypt, TaskServiceConfig
from taskmill.tasks.rows.schema import seal_key
from taskmill.tasks.sealing.database import sealed
from taskmill.tasks.sealing.keys import KeyMissing, Keyring, WrongKeys

logger = logging.getLogger(__name__)

_SAMPLE: Final = "taskmill"

USED: Select[Any] = select(seal_key.c.id, seal_key.c.sample).order_by(seal_key.c.id)

# Parameters: id, sample, since.
USE: Insert = insert(seal_key).values(
    id=bindparam("id_"), sample=bindparam("sample_"), since=bindparam("since_")
)


def key_flaws(declared: Encrypt | None) -> Iterator[Mistake]:
    """Find what is wrong with keys as they are declared."""
    try:
        if declared is not None:
            Keyring.of(declared.keys)
    except WrongKeys as error:
        yield Mistake("encrypt.keys", str(error))


async def database_of(
    context: Context, config: TaskServiceConfig, actions: Iterable[Action[Any, Any]]
) -> Database:
    """Return the database of a task queue: one that encrypts, where that is declared.

    Raises:
        DatabaseError: a key is another than it was, there is none though the database is encrypted, or an action has
            what does not go with it.
    """
    database = context.get(config.database, Database)  # type: ignore[type-abstract]
    keyring = None if config.encrypt is None else Keyring.of(config.encrypt.keys)
    await check(database, keyring)
    if keyring is None:
        return database
    refuse_index(actions)
    return sealed(database, keyring)


async def check(database: Database, keyring: Keyring | None) -> None:
    """See that no key is another than it was, and note the one that encrypts from now on.

    Raises:
        DatabaseError: a key is another, or there is none though the database is encrypted.
    """

    def call(transaction: Transaction) -> list[str]:
        transaction.serialize("seal")
        used = dict(transaction.fetch(USED))
        if keyring is None:
            return sorted(used)
        missing = [id_ for id_, sample in used.items() if not _has(keyring, id_, sample, database.place)]
        first = keyring.first
        if first.id not in used:
            values = {"id_": first.id, "sample_": first.seal(_SAMPLE), "since_": int(time() * 1000)}
            transaction.change(USE, **values)
        return missing

    missing = await database.write(call)
    if missing and keyring is None:
        raise DatabaseError(
            f"{database.place} is encrypted with the keys {_named(missing)}: give them to `encrypt` of the "
            "task.service, or decrypt it with `taskmill encrypt off`"
        )
    if missing:
        logger.error(
            "%s: `encrypt` lacks the keys %s, which were in use: tasks that are encrypted with one wait until it "
            "is there again",
            database.place, _named(missing),
        )  # fmt: skip


def refuse_index(actions: Iterable[Action[Any, Any]]) -> None:
    """Raise DatabaseError where data that is encrypted would stand in an index, to be found by."""
    for action in actions:
        if action.options.index:
            raise DatabaseError(
                f"action {action.name} declares `index`, and what stands in an index is not encrypted: leave `index` "
                "out, or `encrypt`"
            )


def _has(keyring: Keyring, id_: str, sample: str, place: str) -> bool:
    key = keyring.keys.get(id_)
    if key is None:
        return False
    try:
        keyring.open(sample)
    except KeyMissing:
        raise DatabaseError(
            f"the key `{id_}` is another than the one of this id that {place} was encrypted with: give that one back "
            "to `encrypt`, and the new one an id of its own"
        ) from None
    return True


def _named(ids: list[str]) -> str:
    return ", ".join(f"`{id_}`" for id_ in ids)
