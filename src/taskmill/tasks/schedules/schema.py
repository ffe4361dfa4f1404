"""The tables of schedules, and the migrations that make them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

from taskmill.sql import MYSQL_TABLE, Migration
from taskmill.tasks.sealing.column import DATA

_metadata = MetaData()

# Times are milliseconds since 1970, durations milliseconds.
schedule = Table(
    "schedule",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("declared", Integer, nullable=False),  # 1: by the registry, which alone changes it
    Column("cron", Text),  # it has this,
    Column("every", Integer),  # or this
    Column("timezone", Text, nullable=False),
    Column("anchor", Integer, nullable=False),  # what `every` counts from
    Column("action", Text, nullable=False),
    Column("data", DATA, nullable=False),  # JSON
    Column("overlap", Text, nullable=False),
    Column("catch_up", Text, nullable=False),
    Column("jitter", Integer, nullable=False),
    Column("queue", Text),  # the action's, if NULL
    Column("priority", Integer),
    Column("paused", Integer, nullable=False),  # see `taskmill.tasks.schedules.model.Paused`
    Column("revision", Integer, nullable=False),  # grows with each change of the definition
    Column("created_at", Integer, nullable=False),
    Column("updated_at", Integer, nullable=False),
    Column("next_due", Integer),  # NULL while it is paused
    Column("next_run_at", Integer),  # the same, and its jitter
    Column("last_run_at", Integer),
    Column("last_task_id", LargeBinary(16)),
    Column("forgotten", Integer, nullable=False),  # runs due up to here have been, and their rows are removed
)

# Each due time that has been: a schedule never runs twice for one.
fire = Table(
    "schedule_fire",
    _metadata,
    Column("schedule", Text, primary_key=True),
    Column("due", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("task_id", LargeBinary(16)),
)

COMPONENT = "schedules"

MIGRATIONS = (
    Migration(
        1,
        "schedules",
        {
            "sqlite": """
            CREATE TABLE schedule (
                name TEXT NOT NULL PRIMARY KEY,
                declared INTEGER NOT NULL,
                cron TEXT,
                every INTEGER,
                timezone TEXT NOT NULL,
                anchor INTEGER NOT NULL,
                action TEXT NOT NULL,
                data TEXT NOT NULL,
                overlap TEXT NOT NULL,
                catch_up TEXT NOT NULL,
                jitter INTEGER NOT NULL,
                queue TEXT,
                priority INTEGER,
                paused INTEGER NOT NULL,
                revision INTEGER NOT NULL,
                created_at INTEGER NOT NULL,
                updated_at INTEGER NOT NULL,
                next_due INTEGER,
                next_run_at INTEGER,
                last_run_at INTEGER,
                last_task_id BLOB,
                forgotten INTEGER NOT NULL
            ) WITHOUT ROWID;
            CREATE INDEX schedule_next ON schedule (next_run_at, name) WHERE next_run_at IS NOT NULL;
            CREATE TABLE schedule_fire (
                schedule TEXT NOT NULL,
                due INTEGER NOT NULL,
                at INTEGER NOT NULL,
                outcome TEXT NOT NULL,
                task_id BLOB,
                PRIMARY KEY (schedule, due)
            ) WITHOUT ROWID;
            """,
            "postgresql": """
                CREATE TABLE schedule (
                    name text COLLATE "C" NOT NULL PRIMARY KEY,
                    declared smallint NOT NULL,
                    cron text,
                    every bigint,
                    timezone text NOT NULL,
                    anchor bigint NOT NULL,
                    action text NOT NULL,
                    data text NOT NULL,
                    overlap text NOT NULL,
                    catch_up text NOT NULL,
                    jitter bigint NOT NULL,
                    queue text,
                    priority smallint,
                    paused smallint NOT NULL,
                    revision bigint NOT NULL,
                    created_at bigint NOT NULL,
                    updated_at bigint NOT NULL,
                    next_due bigint,
                    next_run_at bigint,
                    last_run_at bigint,
                    last_task_id bytea,
                    forgotten bigint NOT NULL
                );
                CREATE INDEX schedule_next ON schedule (next_run_at, name) WHERE next_run_at IS NOT NULL;
                CREATE TABLE schedule_fire (
                    schedule text COLLATE "C" NOT NULL,
                    due bigint NOT NULL,
                    at bigint NOT NULL,
                    outcome text NOT NULL,
                    task_id bytea,
                    PRIMARY KEY (schedule, due)
                );
            """,
            "mysql": f"""
                CREATE TABLE IF NOT EXISTS schedule (
                    name VARCHAR(200) NOT NULL PRIMARY KEY,
                    declared SMALLINT NOT NULL,
                    cron TEXT,
                    every BIGINT,
                    timezone TEXT NOT NULL,
                    anchor BIGINT NOT NULL,
                    action TEXT NOT NULL,
                    data LONGTEXT NOT NULL,
                    overlap TEXT NOT NULL,
                    catch_up TEXT NOT NULL,
                    jitter BIGINT NOT NULL,
                    queue TEXT,
                    priority SMALLINT,
                    paused SMALLINT NOT NULL,
                    revision BIGINT NOT NULL,
                    created_at BIGINT NOT NULL,
                    updated_at BIGINT NOT NULL,
                    next_due BIGINT,
                    next_run_at BIGINT,
                    last_run_at BIGINT,
                    last_task_id VARBINARY(16),
                    forgotten BIGINT NOT NULL,
                    KEY schedule_next (next_run_at, name)
                ) {MYSQL_TABLE};
                CREATE TABLE IF NOT EXISTS schedule_fire (
                    schedule VARCHAR(200) NOT NULL,
                    due BIGINT NOT NULL,
                    at BIGINT NOT NULL,
                    outcome TEXT NOT NULL,
                    task_id VARBINARY(16),
                    PRIMARY KEY (schedule, due)
                ) {MYSQL_TABLE}
            """,
        },
    ),
)
