"""Queries of people: what is one, and what stands before it."""

import apsw
import pytest
from sqlalchemy.dialects import sqlite

from taskmill.tasks.rows.schema import MIGRATIONS
from taskmill.tasks.view.readable import NotReading, query

COUNT = "c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3)"
DIALECT = sqlite.dialect(paramstyle="qmark")


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM task",
        "UPDATE task SET data = 1",
        "DROP TABLE task",
        "PRAGMA x = 5",
        "",
        "-- SELECT",
        "/* x */ ATTACH 'a' AS b",
    ],
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(NotReading, match="SELECT, WITH, VALUES, EXPLAIN"):
        query(text, DIALECT)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("SELECT count(*) FROM tasks;", [(0,)]),
        ("-- all\n/* of\nthem */ select 5 FROM attempts", []),
        ("with a(b) AS (SELECT 7) SELECT b FROM a", [(7,)]),
        (
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 3) SELECT * FROM c",
            [(1,), (2,), (3,)],
        ),
        ("VALUES (1)", [(1,)]),
    ],
)
def test_a_query_sees_the_readable_tables(text: str, rows: list[tuple[int]]) -> None:
    connection = apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        connection.execute(migration.sql.get("sqlite", ""))
    assert connection.execute(query(text, DIALECT)).fetchall() == rows
    connection.close()
