"""The tables of tasks that follow tasks, and of batches."""

from taskmill.sql import MYSQL_TABLE

# The indexes of a batch's members have its members alone.
SQLITE = """
ALTER TABLE task ADD COLUMN after TEXT;
ALTER TABLE task ADD COLUMN batch BLOB;
ALTER TABLE task ADD COLUMN name TEXT;
CREATE INDEX task_batch ON task (batch, status, id) WHERE batch IS NOT NULL;
CREATE TABLE follow (
    task_id BLOB NOT NULL,
    follower BLOB NOT NULL,
    anyhow INTEGER NOT NULL,
    PRIMARY KEY (task_id, follower)
) WITHOUT ROWID;
CREATE INDEX follow_follower ON follow (follower);
CREATE TABLE batch (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT,
    created_at INTEGER NOT NULL,
    total INTEGER NOT NULL,
    closed_at INTEGER,
    cancelled_at INTEGER,
    ended_at INTEGER,
    counts TEXT,
    on_complete BLOB
) WITHOUT ROWID;
CREATE INDEX batch_open ON batch (id) WHERE ended_at IS NULL;
"""

POSTGRES = """
ALTER TABLE task ADD COLUMN after text;
ALTER TABLE task ADD COLUMN batch bytea;
ALTER TABLE task ADD COLUMN name text;
CREATE INDEX task_batch ON task (batch, status, id) WHERE batch IS NOT NULL;
CREATE TABLE follow (
    task_id bytea NOT NULL,
    follower bytea NOT NULL,
    anyhow smallint NOT NULL,
    PRIMARY KEY (task_id, follower)
);
CREATE INDEX follow_follower ON follow (follower);
CREATE TABLE batch (
    id bytea NOT NULL PRIMARY KEY,
    name text,
    created_at bigint NOT NULL,
    total bigint NOT NULL,
    closed_at bigint,
    cancelled_at bigint,
    ended_at bigint,
    counts text,
    on_complete bytea
);
CREATE INDEX batch_open ON batch (id) WHERE ended_at IS NULL;
"""

# The index of a batch's members leaves their states out: all rows are in it, and none must cost more for that.
_ALTER = """
SET @missing = (
    SELECT COUNT(*) = 0 FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'task' AND column_name = 'batch'
);
SET @change = IF(@missing, 'ALTER TABLE task ADD COLUMN after LONGTEXT, ADD COLUMN batch VARBINARY(16),
    ADD COLUMN name VARCHAR(200), ADD KEY task_batch (batch, id)', 'DO 0');
PREPARE change_ FROM @change;
EXECUTE change_;
DEALLOCATE PREPARE change_;
"""

MYSQL = (
    _ALTER
    + f"""
CREATE TABLE IF NOT EXISTS follow (
    task_id VARBINARY(16) NOT NULL,
    follower VARBINARY(16) NOT NULL,
    anyhow TINYINT NOT NULL,
    PRIMARY KEY (task_id, follower),
    KEY follow_follower (follower)
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS batch (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    name VARCHAR(200),
    created_at BIGINT NOT NULL,
    total BIGINT NOT NULL,
    closed_at BIGINT,
    cancelled_at BIGINT,
    ended_at BIGINT,
    counts LONGTEXT,
    on_complete VARBINARY(16),
    KEY batch_open (ended_at, id)
) {MYSQL_TABLE};
"""
)
