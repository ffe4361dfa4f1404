"""The tables of the task queue in PostgreSQL.

A change of status cannot be HOT, since indexes know the status, so each costs an entry in every index that has the
row before and after: there are three such, and those of special features are partial. What waits is in small
partial indexes of its own, which dispatch goes by, and which stay small however much history there is.

Vacuum goes over the table whenever a hundredth of it is dead, and does not rest on its way: a queue makes dead rows
all the time. Each page keeps room, so that the next version of a row mostly stands on the page of the one before.
"""

TASKS = """
CREATE TABLE task (
    id bytea NOT NULL PRIMARY KEY,
    action text COLLATE "C" NOT NULL,
    queue text COLLATE "C" NOT NULL,
    data text NOT NULL,
    status smallint NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    result text,
    error text,
    rank bigint,
    priority smallint,
    run_at bigint,
    expires_at bigint,
    timeout bigint,
    key text COLLATE "C",
    fair_key text COLLATE "C",
    limit_key text COLLATE "C",
    tags text,
    node bytea
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX task_status ON task (status, id);
CREATE INDEX task_action ON task (action, status, id);
CREATE INDEX task_rank ON task (queue, rank, id) WHERE status = 0;
CREATE INDEX task_due ON task (run_at, id) INCLUDE (queue) WHERE status = 1;
CREATE INDEX task_expiry ON task (status, expires_at, id) WHERE expires_at IS NOT NULL AND status < 2;
CREATE INDEX task_node ON task (node, id) WHERE node IS NOT NULL AND status IN (0, 2);
CREATE INDEX task_key ON task (key, id) WHERE key IS NOT NULL;
CREATE INDEX task_unique ON task (action, key, status, id) WHERE key IS NOT NULL;
CREATE INDEX task_tagged ON task (id) WHERE tags IS NOT NULL;
CREATE INDEX task_fair ON task (queue, fair_key, priority, rank) WHERE fair_key IS NOT NULL AND status = 0;
CREATE INDEX task_turn ON task (queue, priority, rank) WHERE fair_key IS NOT NULL AND status = 0;
CREATE INDEX task_limit ON task (limit_key, rank, id) WHERE limit_key IS NOT NULL AND status = 0;
CREATE INDEX task_started ON task (limit_key, started_at) WHERE limit_key IS NOT NULL;
CREATE TABLE attempt (
    task_id bytea NOT NULL,
    attempt integer NOT NULL,
    started_at bigint,
    ended_at bigint NOT NULL,
    error text NOT NULL,
    PRIMARY KEY (task_id, attempt)
);
CREATE TABLE idempotency (
    key text COLLATE "C" NOT NULL PRIMARY KEY,
    body bytea NOT NULL,
    task_id bytea NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_at);
CREATE TABLE pause (
    queue text COLLATE "C" NOT NULL PRIMARY KEY,
    paused_at bigint NOT NULL,
    paused_by text NOT NULL
);
CREATE TABLE node (
    id bytea NOT NULL PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    roles text NOT NULL,
    started_at bigint NOT NULL,
    heartbeat_at bigint NOT NULL,
    details text NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE lease (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    holder bytea NOT NULL,
    fence bigint NOT NULL,
    expires_at bigint NOT NULL
) WITH (fillfactor = 50);
"""

CLAIMS = """
CREATE TABLE claim (
    id bytea NOT NULL PRIMARY KEY,
    worker text NOT NULL,
    term bigint NOT NULL,
    expires_at bigint NOT NULL,
    ends_at bigint
) WITH (fillfactor = 50);
CREATE INDEX claim_expiry ON claim (expires_at);
"""

NOTES = """
CREATE TABLE note (
    task_id bytea NOT NULL,
    number bigint NOT NULL,
    attempt integer NOT NULL,
    progress text,
    log text,
    count integer NOT NULL,
    size integer NOT NULL,
    lost bigint NOT NULL,
    PRIMARY KEY (task_id, number)
);
CREATE TABLE happened (
    node bytea NOT NULL,
    number bigint NOT NULL,
    keys bytea NOT NULL,
    PRIMARY KEY (node, number)
);
"""

STEPS = """
CREATE TABLE step (
    task_id bytea NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    attempt integer NOT NULL,
    started_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    result text NOT NULL,
    PRIMARY KEY (task_id, number)
);
"""
