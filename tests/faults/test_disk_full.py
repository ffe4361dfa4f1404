"""F5: the disk is full while tasks are submitted, and while a result is stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from apps import application
from durability import check_kept, small_disk, wait_drained
from support import Answer, Server, eventually, serving

pytestmark = pytest.mark.fault

GATED = """
@action
async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through " + "x" * 5000

@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()
"""
BIG = "x" * 30_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    with small_disk(tmp_path / "disk", "size=4m") as directory:
        yield directory


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (65_536, 4_096):
            with suppress(OSError):  # there is no more
                while True:
                    file.write(bytes(size))
    return filler


def _post(server: Server, text: str) -> Answer:
    return server.request("POST", "/tasks", {"action": "uppercase", "data": {"text": text}})


def _submit_until_full(server: Server) -> dict[str, object]:
    accepted: dict[str, object] = {}
    for number in range(1000):
        answer = _post(server, f"{number}-{BIG}")
        if answer.status == 503:
            assert answer.headers["retry-after"] == "1"
            assert "disk" in answer.json()["detail"]
            return accepted
        assert answer.status == 202
        accepted[answer.json()["id"]] = {"output": f"{number}-{BIG}".upper()}
    raise AssertionError("the disk never filled")


def test_F5_a_full_disk_refuses_and_recovers_without_a_restart(tmp_path: Path, disk: Path) -> None:
    app = application(tmp_path / "app", GATED)
    with serving(disk, str(app)) as server:
        early = server.submit("uppercase", {"text": "early"})
        wait_drained(server)
        filler = fill(disk)
        accepted = _submit_until_full(server)
        ready = server.get("/readyz")
        assert ready.status == 503
        assert "disk" in ready.json()["detail"]
        assert str(disk) in ready.json()["detail"]
        assert server.get("/healthz").status == 200
        assert server.get(f"/tasks/{early}").json()["result"] == {"output": "EARLY"}  # reads go on
        assert server.get("/tasks?limit=10").status == 200
        with ThreadPoolExecutor(8) as clients:  # and nobody waits for ever
            for answer in clients.map(lambda number: _post(server, f"{number}-{BIG}"), range(32)):
                assert answer.status == 503
        filler.unlink()
        late = eventually(lambda: _accepted(_post(server, "late")))
        assert server.ended(late)["result"] == {"output": "LATE"}
        eventually(lambda: server.get("/readyz").status == 200)
        wait_drained(server)
        accepted |= {early: {"output": "EARLY"}, late: {"output": "LATE"}}
        assert server.terminate() == 0
    check_kept(disk, accepted)


def _accepted(answer: Answer) -> str | None:
    return str(answer.json()["id"]) if answer.status == 202 else None


def test_F5_a_result_that_finds_the_disk_full_is_kept_and_stored_later(tmp_path: Path, disk: Path) -> None:
    app = application(tmp_path / "app", GATED)
    gate = tmp_path / "gate"
    with serving(disk, str(app)) as server:
        id_ = server.submit("gated", {"gate": str(gate)})
        eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
        filler = fill(disk)
        _submit_until_full(server)
        gate.touch()
        eventually(lambda: "waits to be stored" in server.text())
        waiting = server.get(f"/tasks/{id_}").json()
        assert (waiting["status"], waiting["attempt"], waiting["error"]) == ("running", 1, None)
        filler.unlink()
        task = server.ended(id_)
        assert (task["status"], task["attempt"], task["error"]) == ("completed", 1, None)
        assert task["result"]["output"].startswith("through x")


def test_F5_kill_9_on_a_full_disk_loses_nothing(tmp_path: Path, disk: Path) -> None:
    app = application(tmp_path / "app", GATED)
    with serving(disk, str(app)) as server:
        filler = fill(disk)
        accepted = _submit_until_full(server)
        server.kill()
    filler.unlink()
    with serving(disk, str(app)) as server:
        wait_drained(server)
        assert server.terminate() == 0
    check_kept(disk, accepted)


def test_F5_a_disk_that_is_full_at_the_start_is_named(tmp_path: Path, disk: Path) -> None:
    filler = fill(disk)
    server = Server(["--addr", "127.0.0.1:0", "--data", str(disk / "data")], tmp_path)
    try:
        assert server.process.wait(15) == 1
        assert "full" in server.text() or "No space left" in server.text()
        assert str(disk) in server.text()
        assert "Traceback" not in server.text()
    finally:
        server.close()
    filler.unlink()
    with serving(disk / "data", directory=tmp_path) as server:
        assert server.ended(server.submit("sum", {"numbers": [1, 2]}))["result"] == {"output": 3}
