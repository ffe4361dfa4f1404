"""The table of retention: which tasks there have been."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table

from taskmill.sql import MYSQL_TABLE, Migration

# What is left of a pruned task, so that its id is known to have been one.
tombstone = Table(
    "tombstone",
    MetaData(),
    Column("id", LargeBinary(16), primary_key=True),
    Column("pruned_at", Integer, nullable=False),  # milliseconds since 1970
)

COMPONENT = "retention"

# Some 30 bytes a task. There is no index by age: tombstones are looked through in the order of their ids.
MIGRATIONS = (
    Migration(
        1,
        "tombstones",
        {
            "sqlite": """
            CREATE TABLE tombstone (
                id BLOB NOT NULL PRIMARY KEY,
                pruned_at INTEGER NOT NULL
            ) WITHOUT ROWID
            """,
            "postgresql": """
                CREATE TABLE tombstone (
                    id bytea NOT NULL PRIMARY KEY,
                    pruned_at bigint NOT NULL
                )
            """,
            "mysql": f"""
                CREATE TABLE IF NOT EXISTS tombstone (
                    id VARBINARY(16) NOT NULL PRIMARY KEY,
                    pruned_at BIGINT NOT NULL
                ) {MYSQL_TABLE}
            """,
        },
    ),
)
