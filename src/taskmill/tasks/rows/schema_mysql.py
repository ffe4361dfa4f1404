"""The tables of the task queue in MySQL and MariaDB.

Each index has all rows, since there are no partial ones: so there are fewer, and what of a task is mostly NULL stands
at their heads. The table is its primary key, and each index ends with that. There is no undoing CREATE TABLE, so each
of these may be there already.
"""

from taskmill.sql import MYSQL_TABLE

TASKS = f"""
CREATE TABLE IF NOT EXISTS task (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    action VARCHAR(200) NOT NULL,
    queue VARCHAR(200) NOT NULL,
    data LONGTEXT NOT NULL,
    status TINYINT NOT NULL,
    attempt INT NOT NULL,
    max_attempts INT NOT NULL,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    result LONGTEXT,
    error LONGTEXT,
    `rank` BIGINT,
    priority SMALLINT,
    run_at BIGINT,
    expires_at BIGINT,
    timeout BIGINT,
    `key` VARCHAR(500),
    fair_key VARCHAR(500),
    limit_key VARCHAR(701),
    tags LONGTEXT,
    node VARBINARY(16),
    KEY task_status (status, id),
    KEY task_action (action, status, id),
    KEY task_rank (queue, status, `rank`, id),
    KEY task_due (status, run_at, id),
    KEY task_expiry (status, expires_at, id),
    KEY task_unique (`key`, action, status, id),
    KEY task_fair (fair_key, queue, priority, status, `rank`),
    KEY task_turn (queue, priority, status, `rank`),
    KEY task_limit (limit_key, status, `rank`, id),
    KEY task_started (limit_key, started_at),
    KEY task_node (node, status, id)
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS attempt (
    task_id VARBINARY(16) NOT NULL,
    attempt INT NOT NULL,
    started_at BIGINT,
    ended_at BIGINT NOT NULL,
    error LONGTEXT NOT NULL,
    PRIMARY KEY (task_id, attempt)
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS idempotency (
    `key` VARCHAR(500) NOT NULL PRIMARY KEY,
    body VARBINARY(64) NOT NULL,
    task_id VARBINARY(16) NOT NULL,
    created_at BIGINT NOT NULL,
    KEY idempotency_age (created_at)
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS pause (
    queue VARCHAR(200) NOT NULL PRIMARY KEY,
    paused_at BIGINT NOT NULL,
    paused_by TEXT NOT NULL
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS node (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    roles TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    details LONGTEXT NOT NULL
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS lease (
    name VARCHAR(200) NOT NULL PRIMARY KEY,
    holder VARBINARY(16) NOT NULL,
    fence BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) {MYSQL_TABLE};
"""

CLAIMS = f"""
CREATE TABLE IF NOT EXISTS claim (
    id VARBINARY(16) NOT NULL PRIMARY KEY,
    worker TEXT NOT NULL,
    term BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ends_at BIGINT,
    KEY claim_expiry (expires_at)
) {MYSQL_TABLE};
"""

NOTES = f"""
CREATE TABLE IF NOT EXISTS note (
    task_id VARBINARY(16) NOT NULL,
    number BIGINT NOT NULL,
    attempt INT NOT NULL,
    progress TEXT,
    log LONGTEXT,
    count INT NOT NULL,
    size INT NOT NULL,
    lost BIGINT NOT NULL,
    PRIMARY KEY (task_id, number)
) {MYSQL_TABLE};
CREATE TABLE IF NOT EXISTS happened (
    node VARBINARY(16) NOT NULL,
    number BIGINT NOT NULL,
    `keys` LONGBLOB NOT NULL,
    PRIMARY KEY (node, number)
) {MYSQL_TABLE};
"""

STEPS = f"""
CREATE TABLE IF NOT EXISTS step (
    task_id VARBINARY(16) NOT NULL,
    number INT NOT NULL,
    name VARCHAR(220) NOT NULL,
    attempt INT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    result LONGTEXT NOT NULL,
    PRIMARY KEY (task_id, number)
) {MYSQL_TABLE};
"""
