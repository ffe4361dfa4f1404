"""The rows that say how far a move is: one at each end."""

from __future__ import annotations

import base64
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Delete, Insert, Select, Update, bindparam, delete, insert, select, update

from taskmill.sql import Database, DatabaseError, Transaction
from taskmill.supervisor import Hopeless
from taskmill.tasks.move.schema import move

SOURCE: Final = "source"
TARGET: Final = "target"
COPYING: Final = "copying"  # the old database is the truth
MOVED: Final = "moved"  # it is no more
ARRIVING: Final = "arriving"  # the new one is not complete
ARRIVED: Final = "arrived"

_columns = list(move.columns)

# Parameter: side.
_FIND: Select[Any] = select(*_columns).where(move.c.side == bindparam("side_"))
_REMOVE: Delete = delete(move).where(move.c.side == bindparam("side_"))
# Parameters: all columns.
_ADD: Insert = insert(move).values(
    {column.name: bindparam(f"{column.name}_", type_=column.type) for column in _columns}
)
# Parameters: state, side.
_CHANGE: Update = update(move).values(state=bindparam("state_")).where(move.c.side == bindparam("side_"))
# Parameters: place, rows more, side.
PROGRESS: Update = (
    update(move)
    .values(
        place=bindparam("place_", type_=move.c.place.type),
        copied=move.c.copied + bindparam("more_", type_=move.c.copied.type),
    )
    .where(move.c.side == bindparam("side_", type_=move.c.side.type))
)


class End(NamedTuple):
    """One end of a move. ``place`` and ``copied`` stand where the rows come to, ``entry`` where they leave."""

    side: str
    id: bytes
    other: str
    state: str
    place: str = ""
    copied: int = 0
    entry: str = ""


class Moved(DatabaseError, Hopeless):
    """The tasks are in another database, or are not all here yet."""


def find(transaction: Transaction, side: str) -> End | None:
    """Return what a database says of a move."""
    for row in transaction.fetch(_FIND, side_=side):
        return End(*row)._replace(id=bytes(row[1]))
    return None


def put(transaction: Transaction, end: End) -> None:
    """Write what a database says of a move, in place of what it said."""
    transaction.change(_REMOVE, side_=end.side)
    transaction.change(_ADD, **{f"{name}_": value for name, value in end._asdict().items()})


def remove(transaction: Transaction, side: str) -> None:
    """Have a database say nothing of a move any more."""
    transaction.change(_REMOVE, side_=side)


def change(transaction: Transaction, side: str, state: str) -> None:
    """Write the state."""
    transaction.change(_CHANGE, side_=side, state_=state)


class Place(msgspec.Struct):
    """How far the copy is: the table, and the last key of it; without a table, all has been copied once."""

    table: str = ""
    key: list[str | int] = []

    def values(self) -> dict[str, Any]:
        """Return the parameters of a key."""
        return {f"key{number}_": _decoded(part) for number, part in enumerate(self.key)}


def encode_place(table: str, key: list[Any]) -> str:
    """Write a place as JSON. SQLAlchemy's names are a kind of text of their own."""
    return msgspec.json.encode(Place(str(table), [_encoded(part) for part in key])).decode()


def decode_place(text: str) -> Place:
    """Read a place."""
    return msgspec.json.decode(text, type=Place)


def _encoded(part: Any) -> str | int:
    if isinstance(part, int):
        return part
    return "t" + part if isinstance(part, str) else "b" + base64.b64encode(part).decode()


def _decoded(part: str | int) -> Any:
    if isinstance(part, int):
        return part
    return part[1:] if part[0] == "t" else base64.b64decode(part[1:])


async def refuse_moved(database: Database) -> None:
    """Raise Moved where the tasks of a database have gone elsewhere, or have not all come."""
    source = await database.write(lambda transaction: find(transaction, SOURCE))
    target = await database.write(lambda transaction: find(transaction, TARGET))
    if source is not None and source.state == MOVED:
        lines = "\n".join(f"    {line}" for line in source.entry.splitlines())
        raise Moved(
            f"the tasks of {database.place} have moved to {source.other}; "
            f"write this in place of the entry in _index.yaml, then start again:\n{lines}"
        )
    if target is not None and target.state == ARRIVING:
        raise Moved(
            f"{database.place} holds an unfinished copy of {target.other}: start with that one, and go on by "
            "`taskmill move`"
        )
