"""The database's clock: between nodes it alone decides, since their own may show anything."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_SQL = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    "mysql": "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)",
}
_SQL["mariadb"] = _SQL["mysql"]


class database_now(FunctionElement[int]):  # noqa: N801 - it is written as a function
    """What the database's clock shows as it runs the statement: milliseconds since 1970."""

    name = "database_now"
    type = BigInteger()
    inherit_cache = True


@compiles(database_now)
def _compiled(element: database_now, compiler: Any, **_: Any) -> str:  # noqa: ARG001 - as SQLAlchemy calls it
    return _SQL[compiler.dialect.name]
