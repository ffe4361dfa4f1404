"""The statements by which nodes tell one another what has changed, while somebody watches."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, bindparam, delete, insert, select

from taskmill.tasks.rows.schema import happened

# Parameters: node, number, keys.
ADD: Insert = insert(happened).values({column.name: bindparam(f"{column.name}_") for column in happened.c})

# What other nodes have told since a number. Parameters: number, node.
SINCE: Select[Any] = (
    select(happened.c.node, happened.c.number, happened.c["keys"])
    .where(happened.c.number > bindparam("number_"), happened.c.node != bindparam("node_"))
    .order_by(happened.c.number)
)

# What is too old for anybody, of any node. Parameter: number.
FORGET: Delete = delete(happened).where(happened.c.number < bindparam("number_"))
