"""About how much of a PostgreSQL database is in use.

Its files hardly ever get shorter: what is deleted becomes free within them, and nobody counts that. So the rows are
counted, by the server's statistics, and weighed, by a sample.
"""

from __future__ import annotations

from time import sleep
from typing import Any

from taskmill.sql.space import Space

PAGE = 8192  # bytes
SAMPLE = 200  # pages
ROW = 24 + 4  # bytes of each row that no column has, and its pointer
ENTRY = 40  # bytes of an index entry, about: an id, and what stands before it
STATISTICS_SECONDS = 1.1  # within which older servers count what has been committed

# Have what this session has done counted at once. Only PostgreSQL 15 and later can.
FLUSH_STATISTICS = """
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 150000 THEN PERFORM pg_stat_force_next_flush(); END IF;
END $$
"""

# Each table of ours: its name, its pages, its rows, and how many indexes have all of them.
_TABLES = """
SELECT c.relname, greatest(1, pg_relation_size(c.oid) / 8192), s.n_live_tup,
    (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indpred IS NULL),
    pg_total_relation_size(c.oid) / 8192
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relname IN ('task', 'attempt', 'idempotency', 'tombstone', 'dead_letter', 'schedule', 'schedule_fire')
    AND c.relnamespace = current_schema()::regnamespace
"""


def measure(session: Any) -> Space:
    """Return the space in use by the last commits that have been counted."""
    if session.connection.info.server_version < 150_000:
        sleep(STATISTICS_SECONDS)
    used = pages = 0
    for name, own, rows, indexes, whole in session.execute(_TABLES, []).fetchall():
        pages += whole
        percent = min(100.0, 100 * SAMPLE / own)
        # A value that stands outside of the row, or is compressed, counts as it is stored.
        sizes = " + ".join(
            f"coalesce(pg_column_size({column}), 0)"
            for (column,) in session.execute(_COLUMNS, [name]).fetchall()
        )
        sample = f"SELECT avg({sizes})::bigint FROM {name} TABLESAMPLE SYSTEM ({percent:f})"  # noqa: S608 - names of ours
        ((width,),) = session.execute(sample, []).fetchall()
        used += rows * ((width or 0) + ROW + indexes * ENTRY)
    in_use = min(pages, -(-used // PAGE))
    return Space(PAGE, pages, pages - in_use, can_shrink=False)


_COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
