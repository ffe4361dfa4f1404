"""About how much of a MySQL database is in use.

Its files hardly ever get shorter, and what was deleted is cleared later, so that pages tell little. So the rows are
counted, by the server's statistics where they are many, and weighed, by a sample.
"""

from __future__ import annotations

from taskmill.sql.mysql_link import Link
from taskmill.sql.space import Space

PAGE = 16_384  # bytes
TABLES = ("task", "attempt", "idempotency", "tombstone", "dead_letter", "schedule", "schedule_fire")
EXACT = 50_000  # rows that are counted one by one
SAMPLE = 30  # rows at either end of a table
ROW = 30  # bytes of each row that no column has
ENTRY = 45  # bytes of an index entry, about
FILLED = 0.8  # of a page

_TABLES = """
SELECT table_name, COALESCE(table_rows, 0), COALESCE(data_length + index_length + data_free, 0)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'
"""
_COLUMNS = """
SELECT column_name, column_key FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position
"""
_INDEXES = """
SELECT COUNT(DISTINCT index_name) - 1 FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name = %s
"""


def measure(link: Link) -> Space:
    """Return the space in use by the last commits."""
    if not link.maria:  # which would tell what it knew a day ago
        link.run("SET SESSION information_schema_stats_expiry = 0")
    there = [name for name, _, _ in link.run(_TABLES).fetchall() if name in TABLES]
    if there:
        link.run(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {', '.join(there)}")
    used = whole = 0
    for name, rows, size in link.run(_TABLES).fetchall():
        if name in there:
            whole += int(size)
            used += _weigh(link, name, int(rows))
    in_use = -(-used // PAGE)
    pages = max(in_use, whole // PAGE)
    return Space(PAGE, pages, pages - in_use, can_shrink=False)


def _weigh(link: Link, table: str, rows: int) -> int:
    """Return about how many bytes the rows of a table take."""
    if rows < EXACT:
        ((rows,),) = link.run(f"SELECT COUNT(*) FROM {table}").fetchall()  # noqa: S608 - a name of ours
    columns = link.run(_COLUMNS, [table]).fetchall()
    key = ", ".join(f"`{name}`" for name, kind in columns if kind == "PRI")
    down = ", ".join(f"`{name}` DESC" for name, kind in columns if kind == "PRI")
    size = " + ".join(f"COALESCE(OCTET_LENGTH(`{name}`), 0)" for name, _ in columns)
    ends = [f"(SELECT {size} AS size FROM {table} ORDER BY {order} LIMIT {SAMPLE})" for order in (key, down)]  # noqa: S608 - ours
    ((width,),) = link.run(f"SELECT AVG(size) FROM ({' UNION ALL '.join(ends)}) AS sample").fetchall()  # noqa: S608 - as above
    ((indexes,),) = link.run(_INDEXES, [table]).fetchall()
    return int(rows * (float(width or 0) + ROW + indexes * ENTRY) / FILLED)
