"""`/schedules`, declared schedules and their accuracy, in a real server."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving

ACTIONS = """
@action(inline=True)
def note(text: str) -> str:
    return text

@action
async def slow(path: str) -> str:
    while not os.path.exists(path):
        await asyncio.sleep(0.01)
    return "done"

@action(name="one-only", unique="refuse", inline=True)
def one_only(text: str) -> str:
    return text
"""

EVERY_SECOND = {"every": 1, "action": "note", "data": {"text": "hello"}}
DECLARED = """
  - name: nightly
    kind: task.schedule
    tasks: tasks
    cron: "30 3 * * *"
    timezone: Europe/Berlin
    action: note
    data: {text: night}
    jitter: 10m
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return application(tmp_path / "app", ACTIONS)


@pytest.fixture
def server(tmp_path: Path, app: Path) -> Iterator[Server]:
    with serving(tmp_path, str(app)) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that change nothing in it."""
    directory = tmp_path_factory.mktemp("shared")
    with serving(directory, str(application(directory / "app", ACTIONS))) as running:
        yield running


def put(server: Server, name: str, **changes: Any) -> dict[str, Any]:
    answer = server.request("PUT", f"/schedules/{name}", {**EVERY_SECOND, **changes})
    assert answer.status in (200, 201), answer.body
    return answer.json()  # type: ignore[no-any-return]


def shown(server: Server, name: str) -> dict[str, Any]:
    return server.get(f"/schedules/{name}").json()  # type: ignore[no-any-return]


def runs(server: Server, name: str, count: int) -> list[dict[str, Any]]:
    """Wait until a schedule has run so often; return its last runs, the newest first."""

    def look() -> list[dict[str, Any]]:
        recent = [one for one in shown(server, name)["recent"] if one["outcome"] == "run"]
        return recent if len(recent) >= count else []

    return eventually(look, 30)


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_the_tasks_are_there_at_the_time(server: Server) -> None:
    put(server, "tick")
    late = []
    for run in runs(server, "tick", 3)[:3]:
        task = server.ended(run["task_id"])
        assert task["result"] == {"output": "hello"}
        assert task["tags"] == ["schedule:tick"]
        late.append(seconds(task["created_at"]) - seconds(run["due_at"]))
    print("late by (ms):", [round(one * 1000) for one in late])
    assert 0 <= min(late) <= 0.05, "at least one of three is not disturbed"
    assert max(late) < 0.5


def test_a_schedule_is_put_changed_listed_and_deleted(server: Server) -> None:
    body = {
        "cron": "0 9 * * MON-FRI", "timezone": "America/New_York", "action": "note", "data": {"text": "x"},
        "overlap": "allow", "catch_up": "none", "jitter": 60, "queue": "tasks", "priority": 3, "paused": False,
    }  # fmt: skip
    answer = server.request("PUT", "/schedules/report", body)
    assert answer.status == 201
    schedule = answer.json()
    assert {name: schedule[name] for name in body} == body
    assert schedule["declared"] is False
    assert schedule["every"] is schedule["last_run_at"] is schedule["last_task_id"] is None
    assert 0 <= (seconds(schedule["next_run_at"]) - 14 * 3600) % 86400 <= 3660  # 9:00, winter or summer time
    again = server.request("PUT", "/schedules/report", body)
    assert (again.status, again.json()) == (200, schedule), "the same once more changes nothing"
    changed = put(server, "report", every="2h", catch_up="all")
    assert (changed["cron"], changed["every"], changed["catch_up"]) == (None, 7200, "all")
    assert changed["created_at"] == schedule["created_at"]
    put(server, "audit", paused=True)
    page = server.get("/schedules").json()
    assert (page["count"], page["next"]) == (2, None)
    assert [(one["name"], one["paused"]) for one in page["schedules"]] == [("audit", True), ("report", False)]
    first = server.get("/schedules?limit=1").json()
    assert first["next"] == "audit"
    assert server.get("/schedules?limit=1&cursor=audit").json()["schedules"][0]["name"] == "report"
    assert server.request("DELETE", "/schedules/report").status == 204
    for method, path in (
        ("DELETE", ""),
        ("GET", ""),
        ("POST", "/run"),
        ("POST", "/pause"),
        ("POST", "/resume"),
    ):
        assert server.request(method, f"/schedules/report{path}").status == 404


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"every": None}, "cron", "give either `cron` or `every`"),
        ({"cron": "* * * * *"}, "every", "give either `cron` or `every`"),
        ({"every": 0.5}, "every", "it must be at least 1 second, and at most 10 years"),
        ({"every": "10"}, "every", "`10` is not a duration: write `100ms`"),
        ({"every": None, "cron": "61 * * * *"}, "cron", "Bad minute; write `minute hour"),
        ({"every": None, "cron": "0 0 30 2 *"}, "cron", "Bad day-of-month"),
        ({"timezone": "Europe/Berln"}, "timezone", "unknown time zone"),
        ({"jitter": 2}, "jitter", "it must be at most the 1 s between two runs"),
        ({"action": "notes"}, "action", "unknown action; did you mean `note`?"),
        ({"data": {"text": 5}}, "data.text", "Expected `str`, got `int`"),
        ({"data": {"text": "x" * 2**16}}, "data", "it may have 64 KiB"),
        ({"queue": "taks"}, "queue", "unknown queue; did you mean `tasks`?"),
        ({"priority": 10}, "priority", "Expected `int` <= 9"),
        ({"overlap": "queue"}, "overlap", "Invalid enum value 'queue'"),
        ({"next_run_at": "now"}, "next_run_at", "unknown field"),
        ({"action": None}, "action", "Expected `str`, got `null`"),
    ],
)
def test_a_wrong_field_is_named(shared: Server, changes: dict[str, Any], path: str, said: str) -> None:
    answer = shared.request("PUT", "/schedules/wrong", {**EVERY_SECOND, **changes})
    assert answer.status == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == path
    assert error["message"].startswith(said)
    assert shared.get("/schedules/wrong").status == 404


def test_what_else_is_refused(shared: Server) -> None:
    (error,) = shared.request("PUT", "/schedules/a%20b", EVERY_SECOND).json()["errors"]
    assert error == {"path": "name", "message": "use up to 100 letters, digits, `.`, `_` and `-`"}
    (error,) = shared.request("PUT", "/schedules/a", {"every": 5}).json()["errors"]
    assert error == {"path": "action", "message": "Object missing required field `action`"}
    body = b'{"every": 5, "action": "note", "data": {"text": "\xff"}}'
    assert shared.request("PUT", "/schedules/a", body).status == 400
    text = {"Content-Type": "text/plain"}
    assert shared.request("PUT", "/schedules/a", EVERY_SECOND, text).status == 415
    assert shared.get("/schedules?limt=5").status == 400
    assert shared.get("/schedules").json()["count"] == 0


def test_a_run_is_skipped_while_the_last_one_goes_on(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    put(server, "long", action="slow", data={"path": str(gate)})
    skipped = "skipped: the last one has not ended"
    eventually(lambda: skipped in [one["outcome"] for one in shown(server, "long")["recent"]], 30)
    gate.touch()
    server.ended(shown(server, "long")["last_task_id"])
    runs(server, "long", 2)


def test_a_schedule_is_run_by_hand_also_while_it_is_paused(server: Server) -> None:
    put(server, "manual", cron="0 0 1 1 *", every=None, paused=True)
    answer = server.request("POST", "/schedules/manual/run")
    assert answer.status == 202
    id_ = answer.json()["id"]
    assert answer.headers["location"] == f"/tasks/{id_}"
    assert server.ended(id_)["status"] == "completed"
    schedule = shown(server, "manual")
    assert (schedule["last_task_id"], schedule["next_run_at"], schedule["paused"]) == (id_, None, True)
    assert seconds(schedule["last_run_at"]) > 0
    resumed = server.request("POST", "/schedules/manual/resume").json()
    assert resumed["paused"] is False
    assert resumed["next_run_at"].endswith("-01-01T00:00:00.000Z")
    paused = server.request("POST", "/schedules/manual/pause").json()
    assert (paused["paused"], paused["next_run_at"]) == (True, None)


def test_declared_schedules_come_and_go_with_the_registry(tmp_path: Path, app: Path) -> None:
    index = app / "_index.yaml"
    plain = index.read_text()
    index.write_text(plain + DECLARED)
    with serving(tmp_path, str(app)) as server:
        schedule = shown(server, "nightly")
        assert (schedule["declared"], schedule["cron"], schedule["jitter"]) == (True, "30 3 * * *", 600)
        for method, body in (("PUT", EVERY_SECOND), ("DELETE", None)):
            answer = server.request(method, "/schedules/nightly", body)
            assert answer.status == 409
            assert answer.json()["detail"].startswith("The registry declares this schedule")
        assert server.request("POST", "/schedules/nightly/run").status == 202
        assert server.request("POST", "/schedules/nightly/pause").json()["paused"] is True
        assert server.terminate() == 0
    with serving(tmp_path, str(app)) as server:
        assert shown(server, "nightly")["paused"] is True
        assert (
            server.request("POST", "/schedules/nightly/resume").json()["next_run_at"]
            == schedule["next_run_at"]
        )
        assert server.terminate() == 0
    index.write_text(plain)
    with serving(tmp_path, str(app)) as server:
        assert server.get("/schedules/nightly").status == 404
        assert server.terminate() == 0


def test_a_declared_schedule_with_wrong_data_stops_the_start(tmp_path: Path, app: Path) -> None:
    index = app / "_index.yaml"
    index.write_text(index.read_text() + DECLARED.replace("text: night", "txt: night"))
    with (
        pytest.raises(AssertionError, match=r"schedule `nightly` is wrong: data.*txt"),
        serving(tmp_path, str(app)),
    ):
        pass
