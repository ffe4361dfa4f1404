"""The tables of the task queue, and the migrations that make them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text

from taskmill.sql import Migration

_metadata = MetaData()

# Times are milliseconds since 1970. What is NULL in `rank` and all columns after it is a plain task: an action
# and its data in the service's own queue. It is dispatched in the order of its id, and costs the least.
task = Table(
    "task",
    _metadata,
    Column("id", LargeBinary(16), primary_key=True),  # UUIDv7: sorted by time, so rows are added at the end
    Column("action", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("data", Text, nullable=False),  # JSON, exactly as it was sent
    Column("status", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),  # how often it has been started
    Column("max_attempts", Integer, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("started_at", Integer),
    Column("finished_at", Integer),
    Column("result", Text),  # JSON
    Column("error", Text),  # JSON
    Column("rank", Integer),  # its place among the waiting: smaller goes first
    Column("priority", Integer),
    Column("run_at", Integer),
    Column("expires_at", Integer),
    Column("timeout", Integer),  # milliseconds an attempt may take
    Column("key", Text),  # waiting tasks of an action with one key are one task
    Column("fair_key", Text),  # tasks of different keys take turns
    Column("limit_key", Text),  # which limit it counts against
    Column("tags", Text),  # JSON list
)

# The failed attempts of a task, the last few of them; a task that went well has none.
attempt = Table(
    "attempt",
    _metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("started_at", Integer),
    Column("ended_at", Integer, nullable=False),
    Column("error", Text, nullable=False),  # JSON
)

# What an `Idempotency-Key` was used for.
idempotency = Table(
    "idempotency",
    _metadata,
    Column("key", Text, primary_key=True),
    Column("body", LargeBinary(16), nullable=False),  # a digest of the request's body
    Column("task_id", LargeBinary(16), nullable=False),
    Column("created_at", Integer, nullable=False),
)

# Queues that somebody has paused.
pause = Table(
    "pause",
    _metadata,
    Column("queue", Text, primary_key=True),
    Column("paused_at", Integer, nullable=False),
    Column("paused_by", Text, nullable=False),
)

COMPONENT = "tasks"

# The table is its primary key (WITHOUT ROWID): one tree to grow instead of two. The two indexes serve the
# lists, newest first, with either filter or both; the first also finds what is not finished. Those of the
# second migration are partial: a plain task is in none of them.
MIGRATIONS = (
    Migration(
        1,
        "tasks",
        """
        CREATE TABLE task (
            id BLOB NOT NULL PRIMARY KEY,
            action TEXT NOT NULL,
            queue TEXT NOT NULL,
            data TEXT NOT NULL,
            status INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            max_attempts INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            started_at INTEGER,
            finished_at INTEGER,
            result TEXT,
            error TEXT
        ) WITHOUT ROWID;
        CREATE INDEX task_status ON task (status, id);
        CREATE INDEX task_action ON task (action, status, id);
        """,
    ),
    Migration(
        2,
        "the life of a task",
        """
        ALTER TABLE task ADD COLUMN rank INTEGER;
        ALTER TABLE task ADD COLUMN priority INTEGER;
        ALTER TABLE task ADD COLUMN run_at INTEGER;
        ALTER TABLE task ADD COLUMN expires_at INTEGER;
        ALTER TABLE task ADD COLUMN timeout INTEGER;
        ALTER TABLE task ADD COLUMN key TEXT;
        ALTER TABLE task ADD COLUMN fair_key TEXT;
        ALTER TABLE task ADD COLUMN limit_key TEXT;
        ALTER TABLE task ADD COLUMN tags TEXT;
        CREATE INDEX task_rank ON task (queue, status, rank, id) WHERE rank IS NOT NULL;
        CREATE INDEX task_due ON task (status, run_at, id, queue) WHERE run_at IS NOT NULL;
        CREATE INDEX task_expiry ON task (status, expires_at, id) WHERE expires_at IS NOT NULL;
        CREATE INDEX task_key ON task (key, id) WHERE key IS NOT NULL;
        CREATE INDEX task_unique ON task (action, key, status, id) WHERE key IS NOT NULL;
        CREATE INDEX task_tagged ON task (id) WHERE tags IS NOT NULL;
        CREATE INDEX task_fair ON task (queue, fair_key, priority, status, rank) WHERE fair_key IS NOT NULL;
        CREATE INDEX task_turn ON task (queue, priority, status, rank) WHERE fair_key IS NOT NULL;
        CREATE INDEX task_limit ON task (limit_key, status, rank, id) WHERE limit_key IS NOT NULL;
        CREATE INDEX task_started ON task (limit_key, started_at) WHERE limit_key IS NOT NULL;
        CREATE TABLE attempt (
            task_id BLOB NOT NULL,
            attempt INTEGER NOT NULL,
            started_at INTEGER,
            ended_at INTEGER NOT NULL,
            error TEXT NOT NULL,
            PRIMARY KEY (task_id, attempt)
        ) WITHOUT ROWID;
        CREATE TABLE idempotency (
            key TEXT NOT NULL PRIMARY KEY,
            body BLOB NOT NULL,
            task_id BLOB NOT NULL,
            created_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX idempotency_age ON idempotency (created_at);
        CREATE TABLE pause (
            queue TEXT NOT NULL PRIMARY KEY,
            paused_at INTEGER NOT NULL,
            paused_by TEXT NOT NULL
        ) WITHOUT ROWID;
        """,
    ),
)
