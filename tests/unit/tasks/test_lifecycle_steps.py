"""Each step changes a row only in a state that it starts from, and an attempt's end only its own attempt's row."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apsw
import pytest
from sqlalchemy import Insert, Update
from sqlalchemy.dialects import sqlite

from taskmill.tasks.cluster import sweep_statements
from taskmill.tasks.lifecycle import STEPS, WAITING, Status
from taskmill.tasks.rows import steps
from taskmill.tasks.rows.schema import MIGRATIONS, task

KEY, OTHER = b"\x01" * 16, b"\x02" * 16
NODE = b"\x03" * 16
COLUMNS = [column.name for column in task.columns]
NUMBERS = range(4)  # attempts, in the row and in what comes

UPDATES: Mapping[str, Update] = {
    "due": steps.DUE, "start": steps.START, "complete": steps.COMPLETE, "fail": steps.FAIL, "retry": steps.RETRY,
    "release": steps.RELEASE, "expire": steps.EXPIRE, "cancel": steps.CANCEL, "redrive": steps.REDRIVE,
    "reclaim": sweep_statements.RECLAIM, "lapse": steps.LAPSE, "ready": steps.READY, "forsake": steps.FORSAKE,
}  # fmt: skip
UNTIMED = ("ready", "forsake")  # these start from a row without a time to run at
ENDS = ("complete", "fail", "retry")  # of an attempt


@dataclass
class Table:
    """A table with one task, and another that nothing may touch."""

    connection: apsw.Connection

    def put(self, status: Status, attempt: int, run_at: int | None = 7) -> None:
        self.connection.execute("DELETE FROM task")
        self.connection.execute("DELETE FROM attempt")
        for key in (KEY, OTHER):
            self.connection.execute(
                "INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, rank, run_at,"
                " node, held) VALUES (?, 'a', 'tasks', '{}', ?, ?, 3, 0, 5, ?, ?, 0)",
                (key, status.value, attempt, run_at, NODE),
            )

    def rows(self) -> dict[bytes, dict[str, Any]]:
        found = self.connection.execute(f"SELECT {', '.join(COLUMNS)} FROM task").fetchall()
        return {bytes(row[0]): dict(zip(COLUMNS, row, strict=True)) for row in found}  # type: ignore[arg-type]

    def run(self, statement: Update | Insert, attempt: int) -> int:
        compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        values = {
            "id_": KEY, "attempt_": attempt, "before_": attempt - 1, "counted_": attempt, "number_": attempt,
            "task_id_": KEY, "started_at_": 11, "ended_at_": 13, "finished_at_": 13, "result_": '{"output":1}',
            "error_": '{"type":"E"}', "rank_": 17, "run_at_": 19, "max_attempts_": 23, "data_": '{"new":1}',
            "node_": NODE,
        }  # fmt: skip
        named = {**compiled.params, **values}
        self.connection.execute(str(compiled), [named[name] for name in compiled.positiontup or ()])
        return self.connection.changes()


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    connection = apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        connection.execute(migration.sql["sqlite"])
    yield Table(connection)
    connection.close()


def may(name: str, status: Status, stored: int, attempt: int) -> bool:
    """Whether a step may change a row of this state and attempt; written down apart from the statements."""
    if status not in STEPS[name].sources:
        return False
    if name == "start":
        return stored == attempt - 1
    if name in ("release", "reclaim"):
        return stored == attempt
    if name in ENDS:
        return stored == (attempt if status is Status.RUNNING else attempt - 1)
    return True


CASES = list(itertools.product(Status, NUMBERS, range(1, 5)))


def test_every_step_that_changes_a_row_has_a_statement() -> None:
    assert set(UPDATES) == {name for name, step in STEPS.items() if step.sources}


@pytest.mark.parametrize("name", UPDATES)
def test_a_step_changes_its_row_from_its_sources_alone(table: Table, name: str) -> None:
    changed = set()
    for status, stored, attempt in CASES:
        table.put(status, stored, None if name in UNTIMED else 7)
        before = table.rows()
        count = table.run(UPDATES[name], attempt)
        after = table.rows()
        assert count == may(name, status, stored, attempt), (status, stored, attempt)
        assert after[OTHER] == before[OTHER]
        if count:
            changed.add(status)
            assert after[KEY]["status"] == STEPS[name].target.value
        else:
            assert after == before, (status, stored, attempt)
    assert changed == set(STEPS[name].sources), "each source can be left"


@pytest.mark.parametrize("name", UNTIMED)
def test_one_that_waits_for_its_time_is_no_follower(table: Table, name: str) -> None:
    table.put(Status.SCHEDULED, 1)
    assert table.run(UPDATES[name], 2) == 0


def test_what_follows_others_keeps_waiting_for_them_when_its_data_is_replaced(table: Table) -> None:
    table.put(Status.SCHEDULED, 0, None)
    table.connection.execute("UPDATE task SET after = '[]'")
    table.run(steps.REPLACE, 1)
    row = table.rows()[KEY]
    assert (row["run_at"], row["rank"], row["data"]) == (None, 5, '{"new":1}')


def test_a_failed_attempt_is_recorded_in_its_own_row_alone(table: Table) -> None:
    for status, stored, attempt in CASES:
        table.put(status, stored)
        table.run(steps.RECORD, attempt)
        recorded = table.connection.execute("SELECT task_id, attempt FROM attempt").fetchall()
        expected = [(KEY, attempt)] if may("fail", status, stored, attempt) else []
        assert recorded == expected, (status, stored, attempt)


def test_data_is_replaced_only_while_the_task_waits(table: Table) -> None:
    for status in Status:
        table.put(status, 0)
        before = table.rows()
        assert table.run(steps.REPLACE, 1) == (status in WAITING)
        expected = dict(before[KEY])
        if status in WAITING:
            expected["data"] = '{"new":1}'
        if status is Status.SCHEDULED:
            expected |= {"rank": 17, "run_at": 19}
        assert table.rows() == {KEY: expected, OTHER: before[OTHER]}


def test_what_each_step_stores(table: Table) -> None:
    """And nothing else: of the columns that no step names, none changes."""
    stored: dict[str, dict[str, object]] = {
        "due": {}, "start": {"attempt": 2, "started_at": 11},
        "complete": {"attempt": 2, "started_at": 11, "finished_at": 13, "result": '{"output":1}'},
        "fail": {"attempt": 2, "started_at": 11, "finished_at": 13, "error": '{"type":"E"}'},
        "retry": {"attempt": 2, "started_at": 11, "error": '{"type":"E"}', "rank": 17, "run_at": 19},
        "release": {"attempt": 1}, "expire": {"finished_at": 13, "error": '{"type":"E"}'},
        "cancel": {"finished_at": 13, "error": '{"type":"E"}'},
        "redrive": {"max_attempts": 23, "finished_at": None, "rank": 17, "run_at": None, "node": None, "held": None},
        "reclaim": {"node": None}, "lapse": {"finished_at": 13, "error": '{"type":"E"}'}, "ready": {"rank": 17},
        "forsake": {"finished_at": 13, "error": '{"type":"E"}'},
    }  # fmt: skip
    assert stored.keys() == UPDATES.keys()
    for name, values in stored.items():
        for source in STEPS[name].sources:
            running = source is Status.RUNNING and name != "start"
            table.put(source, 2 if running else 1, None if name in UNTIMED else 7)
            expected = table.rows()[KEY] | values | {"status": STEPS[name].target.value}
            if name in ("due", "expire", "lapse", "cancel", "redrive", *UNTIMED):
                expected["attempt"] = table.rows()[KEY]["attempt"]
            assert table.run(UPDATES[name], 2) == 1
            assert table.rows()[KEY] == expected, (name, source)
