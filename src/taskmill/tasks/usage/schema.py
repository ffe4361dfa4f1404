"""The tables of usage: whose tasks have not ended, and what each caller has used on each day."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

from taskmill.sql import MYSQL_TABLE, Migration

_metadata = MetaData()

# Tasks of callers that had not ended a moment after they were submitted. What ends sooner never gets here.
usage_open = Table(
    "usage_open",
    _metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("caller", Text, nullable=False),
)

usage_day = Table(
    "usage_day",
    _metadata,
    Column("day", BigInteger, primary_key=True),  # since 1970, in UTC
    Column("caller", Text, primary_key=True),
    Column("submitted", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("milliseconds", BigInteger, nullable=False),  # of attempts
)

COMPONENT = "usage"

_COUNTS = ("submitted", "completed", "failed", "cancelled", "milliseconds")

MIGRATIONS = (
    Migration(
        1,
        "usage",
        {
            "sqlite": f"""
            CREATE TABLE usage_open (
                task_id BLOB NOT NULL PRIMARY KEY,
                caller TEXT NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE usage_day (
                day INTEGER NOT NULL,
                caller TEXT NOT NULL,
                {", ".join(f"{name} INTEGER NOT NULL" for name in _COUNTS)},
                PRIMARY KEY (day, caller)
            ) WITHOUT ROWID
            """,
            "postgresql": f"""
                CREATE TABLE usage_open (
                    task_id bytea NOT NULL PRIMARY KEY,
                    caller text NOT NULL
                );
                CREATE TABLE usage_day (
                    day bigint NOT NULL,
                    caller text COLLATE "C" NOT NULL,
                    {", ".join(f"{name} bigint NOT NULL" for name in _COUNTS)},
                    PRIMARY KEY (day, caller)
                )
            """,
            "mysql": f"""
                CREATE TABLE IF NOT EXISTS usage_open (
                    task_id VARBINARY(16) NOT NULL PRIMARY KEY,
                    caller VARCHAR(250) NOT NULL
                ) {MYSQL_TABLE};
                CREATE TABLE IF NOT EXISTS usage_day (
                    day BIGINT NOT NULL,
                    caller VARCHAR(250) NOT NULL,
                    {", ".join(f"{name} BIGINT NOT NULL" for name in _COUNTS)},
                    PRIMARY KEY (day, caller)
                ) {MYSQL_TABLE}
            """,
        },
    ),
)
