"""Retention as clients and operators see it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import Server, eventually, serving

UNKNOWN = "019f0000-0000-7000-8000-000000000000"
KEEP = "app:tasks:keep."


def _ended(server: Server, count: int = 1) -> list[str]:
    ids = [server.submit("uppercase", {"text": str(number)}) for number in range(count)]
    for id_ in ids:
        server.ended(id_)
    return ids


def test_a_pruned_id_is_gone_and_an_unknown_one_is_unknown(server: Server) -> None:
    (id_,) = _ended(server)
    assert server.request("POST", "/tasks/prune", {"older_than": 0}).json() == {"count": 1, "more": False}
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        gone = server.request(method, f"/tasks/{id_}{path}")
        assert gone.status == 410
        assert gone.json()["title"] == "Gone"
        assert "pruned" in gone.json()["detail"]
        assert "`keep`" in gone.json()["detail"]
        for unknown in (UNKNOWN, "nonsense"):
            assert server.request(method, f"/tasks/{unknown}{path}").status == 404
    assert server.get("/tasks").json()["count"] == 0


def test_by_the_declared_rules_what_is_young_stays(server: Server) -> None:
    (id_,) = _ended(server)
    assert server.request("POST", "/tasks/prune").json() == {"count": 0, "more": False}
    assert server.get(f"/tasks/{id_}").status == 200


def test_a_status_and_a_time_can_be_named(server: Server) -> None:
    _ended(server, 3)
    failed = server.submit("sum", {"numbers": [1]})
    server.ended(failed)
    assert _prune(server, status="failed", older_than=0) == 0
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    assert _prune(server, before=(now - hour).isoformat()) == 0
    assert _prune(server, status="completed", before=(now + hour).isoformat().replace("+00:00", "Z")) == 4


def _prune(server: Server, **body: object) -> int:
    answer = server.request("POST", "/tasks/prune", body)
    assert answer.status == 200, answer.body
    count: int = answer.json()["count"]
    return count


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"older_then": 5}, "older_then"),
        ({"older_than": -1}, "older_than"),
        ({"older_than": "7d"}, "older_than"),
        ({"before": "yesterday"}, "before"),
        ({"before": "2026-01-02T03:04:05"}, "before"),
        ({"before": "2026-01-02T03:04:05Z", "older_than": 5}, "older_than"),
        ({"status": "queued"}, "status"),
        ({"status": 4}, "status"),
    ],
)
def test_what_is_wrong_is_named(server: Server, body: object, path: str) -> None:
    (id_,) = _ended(server)
    answer = server.request("POST", "/tasks/prune", body)
    assert answer.status == 400
    assert path in json.dumps(answer.json()["errors"])
    assert server.get(f"/tasks/{id_}").status == 200


def test_no_body_that_cannot_be_read_prunes_anything(server: Server) -> None:
    (id_,) = _ended(server)
    for body in (b"{", b"[]", b"\xff", b'"all"'):
        assert server.request("POST", "/tasks/prune", body).status == 400
    assert server.request("POST", "/tasks/prune?older_than=0").status == 400
    assert server.get(f"/tasks/{id_}").status == 200


def test_it_prunes_by_itself_from_the_start_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        before = _ended(server, 3)
        assert server.terminate() == 0
    with serving(tmp_path, "-o", KEEP + "completed=0s") as server:
        for id_ in [*before, *(server.submit("uppercase", {"text": "x"}) for _ in range(3))]:
            eventually(lambda id_=id_: server.get(f"/tasks/{id_}").status == 410, 30)  # type: ignore[misc]
        assert server.terminate() == 0


def test_for_ever_and_sizes_can_be_declared(tmp_path: Path) -> None:
    options = ("-o", KEEP + "completed=null", "-o", KEEP + "failed=90d", "-o", "app:tasks:max_size=1GiB")
    with serving(tmp_path, *options) as server:
        (id_,) = _ended(server)
        assert _prune(server) == 0
        assert server.get(f"/tasks/{id_}").status == 200


def test_a_mistake_in_the_rules_is_said_before_anything_starts(tmp_path: Path) -> None:
    for option, hint in (
        (KEEP + "completed=soon", "duration"),
        (KEEP + "complete=7d", "did you mean `completed`?"),
        ("app:tasks:max_size=big", "size"),
    ):
        server = Server(["--addr", "127.0.0.1:0", "--data", str(tmp_path), "-o", option], tmp_path)
        try:
            assert server.process.wait(20) == 2
        finally:
            server.close()
        assert hint in server.text()
