"""`task.schedule` is checked before anything starts, with file and line; its tables are what its statements say."""

from pathlib import Path

import apsw
import pytest
from sqlalchemy import LargeBinary, Table

from taskmill import application
from taskmill.application import BUILTIN
from taskmill.registry import RegistryError
from taskmill.tasks.schedules.schema import MIGRATIONS, fire, schedule

ENTRY = """
  - name: nightly
    kind: task.schedule
    tasks: tasks
    action: uppercase
"""


def mistakes(directory: Path, fields: str, entry: str = ENTRY) -> list[str]:
    """Return what is wrong with a schedule of these fields, with lines counted from its entry's."""
    builtin = (BUILTIN / "_index.yaml").read_text()
    (directory / "_index.yaml").write_text(builtin + entry + fields)
    (directory / "actions.py").write_text((BUILTIN / "actions.py").read_text())
    first = len(builtin.splitlines()) + 2
    try:
        application.read(directory)
    except RegistryError as error:
        return [
            f"{problem.line - first}: {problem.field}: {problem.message}"
            + (f"; did you mean `{problem.hint}`?" if problem.hint else "")
            for problem in error.problems
        ]
    return []


@pytest.mark.parametrize(
    "fields",
    [
        '    cron: "30 3 * * *"\n    timezone: Europe/Berlin\n',
        "    every: 10s\n    jitter: 10s\n    overlap: allow\n    catch_up: all\n    priority: 9\n",
        '    cron: "@daily"\n    data: {text: hello}\n    queue: tasks\n    paused: true\n',
    ],
)
def test_right_schedules(tmp_path: Path, fields: str) -> None:
    assert mistakes(tmp_path, fields) == []


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("", "0: cron: give either `cron` or `every`"),
        ('    cron: "@daily"\n    every: 5s\n', "5: every: give either `cron` or `every`"),
        ("    every: 500ms\n", "4: every: it must be at least 1 second, and at most 10 years"),
        (
            '    cron: "0 24 * * *"\n',
            "4: cron: Bad hour; write `minute hour day-of-month month day-of-week`, such as `30 6 * * MON-FRI`",
        ),
        (
            '    cron: "@daily"\n    timezone: Europe/Berln\n',
            "5: timezone: unknown time zone; write one such as `Europe/Berlin`; did you mean `Europe/Berlin`?",
        ),
        (
            '    cron: "*/5 * * * *"\n    jitter: 6m\n',
            "5: jitter: it must be at most the 300 s between two runs, and a day",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, fields: str, found: str) -> None:
    assert mistakes(tmp_path, fields) == [found]


def test_the_task_queue_must_be_one(tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, "    every: 5s\n", ENTRY.replace("tasks: tasks", "tasks: db"))
    assert found == "2: tasks: `app:db` is a `db.sql.sqlite`, expected a `task.service`"


@pytest.mark.parametrize("table", [schedule, fire], ids=lambda table: str(table.name))
def test_a_table_is_the_sum_of_its_migrations(table: Table) -> None:
    connection = apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        connection.execute(migration.sql["sqlite"])
    made = [
        (name, kind, bool(not_null), bool(key))
        for _, name, kind, not_null, _, key in connection.execute(f"PRAGMA table_info({table.name})")
    ]
    assert made == [
        (
            column.name,
            "BLOB" if isinstance(column.type, LargeBinary) else str(column.type),
            not column.nullable,
            column.primary_key,
        )
        for column in table.columns
    ]
