"""The table of the keys that have been used, in each database's own SQL."""

from taskmill.sql import MYSQL_TABLE

SQLITE = """
CREATE TABLE seal_key (
    id TEXT NOT NULL PRIMARY KEY,
    sample TEXT NOT NULL,
    since INTEGER NOT NULL
) WITHOUT ROWID
"""

POSTGRES = """
CREATE TABLE seal_key (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    sample text NOT NULL,
    since bigint NOT NULL
)
"""

MYSQL = f"""
CREATE TABLE IF NOT EXISTS seal_key (
    id VARCHAR(32) NOT NULL PRIMARY KEY,
    sample VARCHAR(500) NOT NULL,
    since BIGINT NOT NULL
) {MYSQL_TABLE}
"""
