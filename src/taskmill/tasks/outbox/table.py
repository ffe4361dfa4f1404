"""The table of an outbox: its statements, and how a row reads as a submission."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Delete, Select, Update, bindparam, column, delete, select, table, update


class Row(NamedTuple):
    """A row of an outbox, and the fields of a submission that it has."""

    key: Any
    fields: dict[str, Any]

    def body(self) -> bytes:
        """Return what a client would send in place of the row."""
        given = {name: value for name, value in self.fields.items() if value is not None}
        data = given.get("data")
        if isinstance(data, str | bytes):  # JSON as text; a database may have decoded a JSON column itself
            given["data"] = msgspec.Raw(data.encode() if isinstance(data, str) else data)
        return msgspec.json.encode(given)


class Outbox:
    """The statements on a table.

    ``columns`` says in which column each field of a submission stands. ``token`` is that of what tells a row from
    another that has its key later; it is not looked at before it is needed.
    """

    def __init__(self, name: str, key: str, error: str, token: str, columns: Mapping[str, str]) -> None:
        self._fields = list(columns)
        of = table(name, *(column(one) for one in (key, error, token, *columns.values())))
        # Parameter: limit.
        self.waiting: Select[Any] = (
            select(of.c[key], *(of.c[one] for one in columns.values()))
            .where(of.c[error].is_(None))
            .order_by(of.c[key])
            .limit(bindparam("limit_"))
        )
        # Parameter: key.
        self.remove: Delete = delete(of).where(of.c[key] == bindparam("key_"), of.c[error].is_(None))
        # Parameters: token, key.
        self.mark: Update = (
            update(of)
            .values({token: bindparam("token_")})
            .where(of.c[key] == bindparam("key_"), of.c[token].is_(None))
        )
        # Parameter: key.
        self.token: Select[Any] = select(of.c[token]).where(of.c[key] == bindparam("key_"))
        # Parameters: error, key.
        self.refuse: Update = (
            update(of).values({error: bindparam("error_")}).where(of.c[key] == bindparam("key_"))
        )

    def read(self, row: tuple[Any, ...]) -> Row:
        """Return a row of :attr:`waiting` by its fields."""
        return Row(row[0], dict(zip(self._fields, row[1:], strict=True)))
