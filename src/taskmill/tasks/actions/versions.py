"""The schemas that actions have, numbered: each task is stored with the number of the one that its data has passed.

A number is a byte or two of a row, while the schema and its hash stand in a table of their own, once. So it costs a
submission nothing that can be measured, and tells of any waiting task whether it was made for the action as it is now.
"""

from __future__ import annotations

import hashlib
from time import time
from typing import Any

import msgspec
from sqlalchemy import Insert, Select, bindparam, func, insert, select

from taskmill.sql import Database, Transaction
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.rows.schema import action_schema

SCHEMAS: Select[Any] = select(action_schema.c.number, action_schema.c.action, action_schema.c.hash)

_LAST: Select[Any] = select(func.max(action_schema.c.number))

# Parameters: all columns.
_ADD: Insert = insert(action_schema).values(
    {column.name: bindparam(f"{column.name}_") for column in action_schema.columns}
)


def schema_of(action: Action[Any, Any]) -> bytes:
    """Return the JSON Schema of an action's data, written in one way only."""
    try:
        schema = msgspec.json.schema(action.data_type)
    except TypeError:  # of a type that has no schema, such as one with a hook of its own
        schema = {"type": repr(action.data_type)}
    return msgspec.json.encode(schema, order="sorted")


def hash_of(action: Action[Any, Any]) -> str:
    """Return a hash of the schema, in hexadecimal."""
    return hashlib.blake2b(schema_of(action), digest_size=8).hexdigest()


async def number_schemas(database: Database, catalog: Catalog) -> None:
    """Have each action know the number of its schema; those that are new get the next ones."""
    now = int(time() * 1000)

    def call(transaction: Transaction) -> dict[tuple[str, str], int]:
        transaction.serialize("schemas of actions")
        numbers = {(action, hash_): number for number, action, hash_ in transaction.fetch(SCHEMAS)}
        ((last,),) = transaction.fetch(_LAST)
        for action in catalog.actions():
            key = action.name, hash_of(action)
            if key not in numbers:
                last = numbers[key] = (last or 0) + 1
                data = schema_of(action).decode()
                values = {
                    "number_": last,
                    "action_": action.name,
                    "hash_": key[1],
                    "data_": data,
                    "stored_at_": now,
                }
                transaction.change(_ADD, **values)
        return numbers

    numbers = await database.write(call)
    for registered in catalog.registered():
        action = registered.action
        registered.version = numbers[action.name, hash_of(action)]
