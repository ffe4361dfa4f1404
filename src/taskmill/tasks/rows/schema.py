"""The tables of the task queue, and the migrations that make them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

from taskmill.sql import Migration
from taskmill.tasks.rows import (
    schema_finding,
    schema_follow,
    schema_mysql,
    schema_postgres,
    schema_sealing,
    schema_sqlite,
    schema_trace,
)
from taskmill.tasks.sealing.column import DATA, ERROR, LOG, PROGRESS

_metadata = MetaData()

# Each database's own SQL says which of its types a `BigInteger` is: some columns need less than 64 bits.
#
# Times are milliseconds since 1970. What is NULL in `rank` and the columns after it is a plain task: an action and its
# data in the service's own queue. It is dispatched in the order of its id, and costs the least. It may have a `version`
# and a `trace`.
task = Table(
    "task",
    _metadata,
    Column("id", LargeBinary(16), primary_key=True),  # UUIDv7: sorted by time, so rows are added at the end
    Column("action", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("data", DATA, nullable=False),  # JSON, exactly as it was sent
    Column("status", BigInteger, nullable=False),
    Column("attempt", BigInteger, nullable=False),  # how often it has been started
    Column("max_attempts", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("result", DATA),  # JSON
    Column("error", ERROR),  # JSON
    Column("rank", BigInteger),  # its place among the waiting: smaller goes first
    Column("priority", BigInteger),
    Column("run_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("timeout", BigInteger),  # milliseconds an attempt may take
    Column("key", Text),  # waiting tasks of an action with one key are one task
    Column("fair_key", Text),  # tasks of different keys take turns
    Column("limit_key", Text),  # which limit it counts against
    Column("tags", Text),  # JSON list
    Column("node", LargeBinary(16)),  # which node has it in hand, where there are several
    # A held task's own `run_at`, 0 for none. While it is held, `run_at` is the end of that.
    Column("held", BigInteger),
    Column(
        "version", BigInteger
    ),  # of its action: the schema that its data has passed, a number of `action_schema`
    Column("after", Text),  # JSON list of the tasks that it was submitted to follow
    Column("batch", LargeBinary(16)),  # which batch it is a member of
    Column("name", Text),  # what it is called among the members
    Column(
        "trace", Text
    ),  # a `traceparent`, and after a space its `tracestate`: what its attempts are part of
)

# The failed attempts of a task, the last few of them; a task that went well has none.
attempt = Table(
    "attempt",
    _metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("attempt", BigInteger, primary_key=True),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger, nullable=False),
    Column("error", ERROR, nullable=False),  # JSON
)

# The schemas that actions have had: data is stored by the number of the one that it has passed.
action_schema = Table(
    "action_schema",
    _metadata,
    Column("number", BigInteger, primary_key=True),
    Column("action", Text, nullable=False),
    Column("hash", Text, nullable=False),  # of the schema: hexadecimal
    Column("data", Text, nullable=False),  # the schema itself: JSON
    Column("stored_at", BigInteger, nullable=False),
)

# What stands in the data of tasks at the paths that their actions have indexed.
task_index = Table(
    "task_index",
    _metadata,
    Column("path", Text, primary_key=True),  # such as `data.customer`
    Column("value", Text, primary_key=True),
    Column("task_id", LargeBinary(16), primary_key=True),
)

# The paths that actions have indexed, and down to where tasks from before that are in the index.
indexed = Table(
    "indexed",
    _metadata,
    Column("action", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("reached", LargeBinary(16), nullable=False),  # down to this id they are; empty where all are
)

# What an `Idempotency-Key` was used for.
idempotency = Table(
    "idempotency",
    _metadata,
    Column("key", Text, primary_key=True),
    Column("body", LargeBinary(16), nullable=False),  # a digest of the request's body
    Column("task_id", LargeBinary(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# Queues that somebody has paused.
pause = Table(
    "pause",
    _metadata,
    Column("queue", Text, primary_key=True),
    Column("paused_at", BigInteger, nullable=False),
    Column("paused_by", Text, nullable=False),
)

# The processes that share a database.
node = Table(
    "node",
    _metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("roles", Text, nullable=False),  # JSON list
    Column("started_at", BigInteger, nullable=False),
    Column("heartbeat_at", BigInteger, nullable=False),  # by the clock of the database
    Column("details", Text, nullable=False),  # JSON
)

# What only one of them may do at a time, and who does it until when. Each new holder has a greater fence.
lease = Table(
    "lease",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("holder", LargeBinary(16), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),  # by the clock of the database
)

# What workers outside have claimed at once: each task's row has the claim's id in `node`.
claim = Table(
    "claim",
    _metadata,
    Column("id", LargeBinary(16), primary_key=True),  # the lease
    Column("worker", Text, nullable=False),
    Column("term", BigInteger, nullable=False),  # milliseconds for which it holds after each heartbeat
    Column("expires_at", BigInteger, nullable=False),  # by the clock of the database
    Column("ends_at", BigInteger),  # the end of its tasks' timeout; no heartbeat reaches beyond it
)

# What an attempt has said of itself while it ran, one row for all of it in a fifth of a second.
note = Table(
    "note",
    _metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # microseconds since 1970
    Column("attempt", BigInteger, nullable=False),
    Column("progress", PROGRESS),  # JSON, the last one
    Column("log", LOG),  # JSON list of lines, each a list of its time and its text
    Column("count", BigInteger, nullable=False),  # of lines
    Column("size", BigInteger, nullable=False),  # bytes of their texts
    Column("lost", BigInteger, nullable=False),  # lines before these that were not kept
)

# Which tasks have changed on a node lately, while somebody watches on another.
happened = Table(
    "happened",
    _metadata,
    Column("node", LargeBinary(16), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # microseconds since 1970, by the clock of all nodes
    Column("keys", LargeBinary, nullable=False),  # their ids, one after the other
)

# What steps of a task have come to: its next attempt does not take them again.
step = Table(
    "step",
    _metadata,
    Column("task_id", LargeBinary(16), primary_key=True),
    Column("number", BigInteger, primary_key=True),  # from 1 on, in the order of their ends
    Column("name", Text, nullable=False),  # of one task's steps, each is its own
    Column("attempt", BigInteger, nullable=False),  # which took it
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("result", DATA, nullable=False),  # JSON
)

# The keys that what tasks hold has been encrypted with.
seal_key = Table(
    "seal_key",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("sample", Text, nullable=False),  # something encrypted with it, which tells another key of this id
    Column("since", BigInteger, nullable=False),
)

# A task that waits for others to end, once for each of those: as long as it waits, and not much longer.
follow = Table(
    "follow",
    _metadata,
    Column("task_id", LargeBinary(16), primary_key=True),  # the one that is followed
    Column("follower", LargeBinary(16), primary_key=True),
    Column("anyhow", BigInteger, nullable=False),  # 1: however that one ends; 0: the follower fails with it
)

# Tasks that belong together. A batch has ended once it takes no more members and all of them have ended.
batch = Table(
    "batch",
    _metadata,
    Column("id", LargeBinary(16), primary_key=True),  # UUIDv7
    Column("name", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),  # members that it has been given
    Column("closed_at", BigInteger),  # NULL while it takes more
    Column("cancelled_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("counts", Text),  # JSON: how its members had ended by then
    Column("on_complete", LargeBinary(16)),  # the task that runs once it has ended
)

COMPONENT = "tasks"

MIGRATIONS = (
    Migration(1, "tasks", {"sqlite": schema_sqlite.TASKS}),
    Migration(2, "the life of a task", {"sqlite": schema_sqlite.LIFE}),
    Migration(
        3,
        "nodes",
        {
            "sqlite": schema_sqlite.NODES,
            "postgresql": schema_postgres.TASKS,
            "mysql": schema_mysql.TASKS,
        },
    ),
    Migration(
        4,
        "claims",
        {
            "sqlite": schema_sqlite.CLAIMS,
            "postgresql": schema_postgres.CLAIMS,
            "mysql": schema_mysql.CLAIMS,
        },
    ),
    Migration(
        5,
        "notes",
        {
            "sqlite": schema_sqlite.NOTES,
            "postgresql": schema_postgres.NOTES,
            "mysql": schema_mysql.NOTES,
        },
    ),
    Migration(
        6,
        "steps",
        {
            "sqlite": schema_sqlite.STEPS,
            "postgresql": schema_postgres.STEPS,
            "mysql": schema_mysql.STEPS,
        },
    ),
    Migration(
        7,
        "held tasks, schemas of actions, and the index of data",
        {
            "sqlite": schema_finding.SQLITE,
            "postgresql": schema_finding.POSTGRES,
            "mysql": schema_finding.MYSQL,
        },
    ),
    Migration(
        8,
        "tasks that follow tasks",
        {
            "sqlite": schema_follow.SQLITE,
            "postgresql": schema_follow.POSTGRES,
            "mysql": schema_follow.MYSQL,
        },
    ),
    Migration(
        9,
        "keys",
        {
            "sqlite": schema_sealing.SQLITE,
            "postgresql": schema_sealing.POSTGRES,
            "mysql": schema_sealing.MYSQL,
        },
    ),
    Migration(10, "traces", schema_trace.TRACE),
    Migration(
        11,
        "tags are found in their index",
        {"sqlite": schema_sqlite.TAGS, "postgresql": "SELECT 1", "mysql": "DO 0"},
    ),
)
