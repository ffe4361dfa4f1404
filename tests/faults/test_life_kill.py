"""`kill -9` again and again under a load of every kind: each acknowledged task comes to one end, and keeps it."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import apsw
import pytest
from apps import application
from durability import LoadProcess
from support import Server, eventually, serving

pytestmark = pytest.mark.fault

KILLS = int(os.environ.get("TASKMILL_KILLS", "5"))
SEED = int(os.environ.get("TASKMILL_SEED", str(random.SystemRandom().getrandbits(32))))
ENDED = (3, 4, 5)
ACTIONS = """
from taskmill import Fail, current_task

def work(text: str, failures: int, hopeless: bool) -> str:
    if hopeless:
        raise Fail("no use")
    if current_task().attempt <= failures:
        raise ValueError("not yet")
    return text.upper()

@action(inline=True, backoff=[0, "30ms"], max_attempts=1000)
def inline(text: str, failures: int = 0, hopeless: bool = False) -> str:
    return work(text, failures, hopeless)

@action(backoff="20ms", max_attempts=1000)
async def loop(text: str, failures: int = 0, hopeless: bool = False) -> str:
    await asyncio.sleep(0.002)
    return work(text, failures, hopeless)

@action(backoff="20ms", max_attempts=1000)
def isolated(text: str, failures: int = 0, hopeless: bool = False) -> str:
    return work(text, failures, hopeless)
"""


class Load(LoadProcess):
    """A running `life_load.py`, and what it was told."""

    def __init__(self, server: Server, connections: int, seed: int) -> None:
        self.lines: list[dict[str, Any]] = []
        super().__init__(server, "life_load.py", str(connections), str(seed))

    def hear(self, line: str) -> None:
        self.lines.append(json.loads(line))


class Rows:
    """What stands in the tables of a database that no server has open, read from a copy: a reader moves the log."""

    def __init__(self, data: Path) -> None:
        copy = data / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in data.glob("tasks.db*"):
            shutil.copy(file, copy)
        connection = apsw.Connection(str(copy / "tasks.db"))
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            columns = "id, status, attempt, result, error, finished_at, max_attempts, key"
            self.tasks = {
                str(UUID(bytes=row[0])): row[1:] for row in connection.execute(f"SELECT {columns} FROM task")
            }
            attempts = "SELECT task_id, attempt FROM attempt ORDER BY task_id, attempt"
            self.attempts: dict[str, list[int]] = {}
            for key, number in connection.execute(attempts):
                self.attempts.setdefault(str(UUID(bytes=key)), []).append(number)
        finally:
            connection.close()

    def ends(self) -> dict[str, tuple[Any, ...]]:
        return {id_: row[:5] for id_, row in self.tasks.items() if row[0] in ENDED}


@pytest.mark.timeout(180 + 15 * KILLS)
def test_each_acknowledged_task_has_one_end_after_many_kills(tmp_path: Path) -> None:
    print(f"TASKMILL_SEED={SEED} repeats this choice of instants")
    instants = random.Random(SEED)
    app = application(tmp_path / "app", ACTIONS)
    data = tmp_path / "data"
    data.mkdir()
    lines: list[dict[str, Any]] = []
    ends: dict[str, tuple[Any, ...]] = {}
    for round_ in range(KILLS):
        with serving(data, str(app)) as server:
            load = Load(server, 8, SEED + round_)
            try:
                wanted = instants.randrange(1, 400)
                eventually(lambda load=load, wanted=wanted: len(load.lines) >= wanted, 60)  # type: ignore[misc]
            finally:
                server.kill()
                load.end()
        lines += load.lines
        rows = Rows(data)
        changed = {id_ for id_, end in ends.items() if rows.ends().get(id_) != end}
        assert not changed, "the end of a task has changed"
        ends = rows.ends()
    with serving(data, str(app)) as server:
        for status in ("queued", "running", "scheduled"):
            path = f"/tasks?status={status}&limit=1"
            eventually(lambda path=path: server.get(path).json()["count"] == 0, 90)  # type: ignore[misc]
        assert server.terminate() == 0
    check(Rows(data), ends, lines)
    print(f"{KILLS} kills, {len(lines)} answers")


def check(rows: Rows, ends: dict[str, tuple[Any, ...]], lines: list[dict[str, Any]]) -> None:
    assert not {id_ for id_, end in ends.items() if rows.ends()[id_] != end}
    assert {row[0] for row in rows.tasks.values()} <= set(ENDED)
    kinds = {line["kind"] for line in lines}
    assert {"plain", "flaky", "hopeless", "delayed", "keyed", "again", "cancelled"} <= kinds
    assert not kinds & {"refused", "not the same"}
    cancelled = {line["id"] for line in lines if line["kind"] == "cancelled"}
    perhaps = {line["id"] for line in lines if line["kind"] == "perhaps cancelled"}
    for line in lines:
        id_, wanted = line["id"], line["wanted"]
        assert id_ in rows.tasks, f"an acknowledged task is gone: {line}"
        status, _, result, error, finished, *_ = rows.tasks[id_]
        assert finished is not None
        if id_ in cancelled:
            assert (status, result) == (5, None)
        elif wanted == "Fail":
            assert (status, result, json.loads(error)["type"]) == (4, None, "Fail")
        elif status == 5:
            assert id_ in perhaps
        else:
            assert (status, json.loads(result)) == (3, wanted), line
    for id_, numbers in rows.attempts.items():
        assert len(numbers) <= 10
        assert max(numbers) <= rows.tasks[id_][1]
