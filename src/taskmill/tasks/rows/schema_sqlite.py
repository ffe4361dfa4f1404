"""The tables of the task queue in SQLite.

The table of tasks is its primary key (WITHOUT ROWID): one tree to grow instead of two. The two indexes serve the
lists, newest first, with either filter or both; the first also finds what is not finished. Those of the second
migration are partial: a plain task is in none of them.
"""

TASKS = """
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
"""

LIFE = """
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
"""

# A file has one process, so these tables have one row at most: all databases know the same ones.
NODES = """
ALTER TABLE task ADD COLUMN node BLOB;
CREATE TABLE node (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    roles TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    details TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE lease (
    name TEXT NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL,
    fence INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
"""

CLAIMS = """
CREATE TABLE claim (
    id BLOB NOT NULL PRIMARY KEY,
    worker TEXT NOT NULL,
    term INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    ends_at INTEGER
) WITHOUT ROWID;
CREATE INDEX claim_expiry ON claim (expires_at);
CREATE INDEX task_node ON task (node, id) WHERE node IS NOT NULL AND status = 2;
"""

NOTES = """
CREATE TABLE note (
    task_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    progress TEXT,
    log TEXT,
    count INTEGER NOT NULL,
    size INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    PRIMARY KEY (task_id, number)
) WITHOUT ROWID;
CREATE TABLE happened (
    node BLOB NOT NULL,
    number INTEGER NOT NULL,
    keys BLOB NOT NULL,
    PRIMARY KEY (node, number)
) WITHOUT ROWID;
"""

STEPS = """
CREATE TABLE step (
    task_id BLOB NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (task_id, number)
) WITHOUT ROWID;
"""

# With the tags in it no row has to be read for each that is looked at. Other databases limit what an index holds.
TAGS = """
DROP INDEX task_tagged;
CREATE INDEX task_tagged ON task (id, tags) WHERE tags IS NOT NULL;
"""
