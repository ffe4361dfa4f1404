"""The tables of held tasks, of the schemas of actions, and of the index of data, in each database."""

from taskmill.sql import MYSQL_TABLE

# A column without a default costs no look at the rows that there are, in any of them.
SQLITE = """
ALTER TABLE task ADD COLUMN held INTEGER;
ALTER TABLE task ADD COLUMN version INTEGER;
CREATE TABLE action_schema (
    number INTEGER NOT NULL PRIMARY KEY,
    action TEXT NOT NULL,
    hash TEXT NOT NULL,
    data TEXT NOT NULL,
    stored_at INTEGER NOT NULL
);
CREATE TABLE task_index (
    path TEXT NOT NULL,
    value TEXT NOT NULL,
    task_id BLOB NOT NULL,
    PRIMARY KEY (path, value, task_id)
) WITHOUT ROWID;
CREATE INDEX task_index_task ON task_index (task_id);
CREATE TABLE indexed (
    action TEXT NOT NULL,
    path TEXT NOT NULL,
    reached BLOB NOT NULL,
    PRIMARY KEY (action, path)
) WITHOUT ROWID;
"""

POSTGRES = """
ALTER TABLE task ADD COLUMN held bigint;
ALTER TABLE task ADD COLUMN version integer;
CREATE TABLE action_schema (
    number integer NOT NULL PRIMARY KEY,
    action text COLLATE "C" NOT NULL,
    hash text COLLATE "C" NOT NULL,
    data text NOT NULL,
    stored_at bigint NOT NULL
);
CREATE TABLE task_index (
    path text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    task_id bytea NOT NULL,
    PRIMARY KEY (path, value, task_id)
);
CREATE INDEX task_index_task ON task_index (task_id);
CREATE TABLE indexed (
    action text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    reached bytea NOT NULL,
    PRIMARY KEY (action, path)
);
"""

# There is no `ADD COLUMN IF NOT EXISTS` in MySQL, so it is looked up first.
MYSQL = f"""
SET @taskmill_step = IF(
    EXISTS (SELECT 1 FROM information_schema.columns
            WHERE table_schema = DATABASE() AND table_name = 'task' AND column_name = 'held'),
    'DO 0',
    'ALTER TABLE task ADD COLUMN held BIGINT, ADD COLUMN version INT'
);
PREPARE taskmill_step FROM @taskmill_step;
EXECUTE taskmill_step;
DEALLOCATE PREPARE taskmill_step;
CREATE TABLE IF NOT EXISTS action_schema (
    number INT NOT NULL PRIMARY KEY,
    action VARCHAR(200) NOT NULL,
    hash VARCHAR(64) NOT NULL,
    data LONGTEXT NOT NULL,
    stored_at BIGINT NOT NULL
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS task_index (
    path VARCHAR(200) NOT NULL,
    value VARCHAR(200) NOT NULL,
    task_id VARBINARY(16) NOT NULL,
    PRIMARY KEY (path, value, task_id),
    KEY task_index_task (task_id)
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS indexed (
    action VARCHAR(200) NOT NULL,
    path VARCHAR(200) NOT NULL,
    reached VARBINARY(16) NOT NULL,
    PRIMARY KEY (action, path)
) {MYSQL_TABLE};
"""  # noqa: S608 - no value
