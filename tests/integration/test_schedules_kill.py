"""A server that is killed in the moment a schedule runs neither loses a run nor repeats one."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import pytest
from support import Server, eventually, serving

# Seconds around the due time: before the look, while the transaction is on its way, after the dispatch.
INSTANTS = (-0.003, 0.0, 0.001, 0.002, 0.003, 0.005, 0.02)
SCHEDULE = {
    "every": 1, "action": "uppercase", "data": {"text": "tick"}, "overlap": "allow", "catch_up": "all",
}  # fmt: skip


def next_run_at(server: Server) -> float:
    """Return when the schedule runs next, at least a moment from now."""

    def look() -> float:
        text = server.get("/schedules/tick").json()["next_run_at"]
        at = datetime.fromisoformat(text).timestamp()
        return at if at > time.time() + 0.05 else 0

    return eventually(look)


def wait_until(moment: float) -> None:
    """Wait for a time of the wall clock, to the tenth of a millisecond."""
    eventually(lambda: time.time() > moment - 0.03)
    while time.time() < moment:
        pass


@pytest.mark.fault
def test_F24_killed_in_the_second_it_runs(tmp_path: Path) -> None:
    for instant in INSTANTS:
        with serving(tmp_path) as server:
            if instant == INSTANTS[0]:
                assert server.request("PUT", "/schedules/tick", SCHEDULE).status == 201
            wait_until(next_run_at(server) + instant)
            server.kill()
    with serving(tmp_path) as server:
        next_run_at(server)
        assert server.request("POST", "/schedules/tick/pause").status == 200
        eventually(lambda: not server.get("/tasks?status=queued").json()["count"], 30)
        tasks = server.get("/tasks?limit=1000").json()["tasks"]
        assert server.terminate() == 0
    assert {task["status"] for task in tasks} == {"completed"}
    connection = apsw.Connection(str(tmp_path / "tasks.db"))
    fires: list[Any] = connection.execute(
        "SELECT due, outcome, lower(hex(task_id)) FROM schedule_fire ORDER BY due"
    ).fetchall()
    connection.close()
    due = [due for due, _, _ in fires]
    assert len(due) >= len(INSTANTS)
    assert due == list(range(due[0], due[-1] + 1, 1000)), "none is lost"
    assert {outcome for _, outcome, _ in fires} == {"run"}
    assert sorted(id_ for *_, id_ in fires) == sorted(task["id"].replace("-", "") for task in tasks)
