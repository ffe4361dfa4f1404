"""The whole server dies while tasks run: they run again, and one that is to blame runs out of attempts."""

from pathlib import Path

import pytest
from apps import application
from support import Server, eventually, serving

ACTIONS = """
@action
async def wait_for(file: str) -> str:
    while not os.path.exists(file):
        await asyncio.sleep(0.01)
    return "seen"

@action
async def poison(how: str) -> None:
    await asyncio.sleep(0.05 if how == "late" else 0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)

@action(name="poison_inline", inline=True)
def poison_inline() -> None:
    os._exit(3)

@action(max_attempts=1)
async def once() -> None:
    os._exit(3)

@action
async def harmless() -> str:
    return "done"
"""

pytestmark = pytest.mark.fault


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return application(tmp_path / "app", ACTIONS)


def status(server: Server, id_: str) -> tuple[str, int]:
    task = server.get(f"/tasks/{id_}").json()
    return task["status"], task["attempt"]


def test_F1_a_task_that_ran_when_the_server_was_killed_is_attempt_2(app: Path, tmp_path: Path) -> None:
    data, flag = tmp_path / "data", tmp_path / "flag"
    with serving(data, str(app), directory=tmp_path) as server:
        running = [server.submit("wait_for", {"file": str(flag)}) for _ in range(2)]
        queued = server.submit("harmless")
        eventually(lambda: [status(server, id_) for id_ in running] == [("running", 1)] * 2)
        assert status(server, queued) == ("queued", 0)
        server.kill()
    with serving(data, str(app), directory=tmp_path) as server:
        eventually(lambda: [status(server, id_) for id_ in running] == [("running", 2)] * 2)
        flag.touch()
        for id_ in running:
            task = server.ended(id_)
            assert (task["status"], task["attempt"]) == ("completed", 2)
            assert task["result"] == {"output": "seen"}
        task = server.ended(queued)
        assert (task["status"], task["attempt"], task["error"]) == ("completed", 1, None)
        assert server.terminate() == 0


def test_F25_a_task_that_a_shutdown_breaks_off_has_cost_no_attempt(app: Path, tmp_path: Path) -> None:
    data, flag = tmp_path / "data", tmp_path / "flag"
    hasty = [str(app), "-o", "app:task_consumer:lifecycle.stop_timeout=200ms"]
    for _ in range(4):  # more often than it has attempts
        with serving(data, *hasty, directory=tmp_path) as server:
            if not (ids := [task["id"] for task in server.get("/tasks").json()["tasks"]]):
                ids = [server.submit("wait_for", {"file": str(flag)})]
            eventually(lambda: status(server, ids[0]) == ("running", 1))  # noqa: B023
            assert server.terminate() == 0, server.text()
    flag.touch()
    with serving(data, *hasty, directory=tmp_path) as server:
        task = server.ended(ids[0])
        assert (task["status"], task["attempt"]) == ("completed", 1)


@pytest.mark.parametrize(
    ("action", "payload", "attempts"),
    [
        ("poison", {"how": "at once"}, 3),
        ("poison", {"how": "late"}, 3),
        ("poison", {"how": "killed"}, 3),
        ("poison_inline", {}, 3),
        ("once", {}, 1),
    ],
)
def test_a_task_that_kills_the_server_runs_out_of_attempts_and_takes_no_other_along(
    app: Path, tmp_path: Path, action: str, payload: object, attempts: int
) -> None:
    data = tmp_path / "data"
    ids: list[str] = []
    idle = [str(app), "-o", "app:task_consumer:lifecycle.auto_start=false"]
    with serving(data, *idle, directory=tmp_path) as server:
        ids += [server.submit("harmless") for _ in range(20)]
        poison = server.submit(action, payload)
        ids += [server.submit("harmless") for _ in range(20)]
        assert server.terminate() == 0
    deaths = 0
    while True:
        server = Server(["--addr", "127.0.0.1:0", "--data", str(data), str(app)], tmp_path)
        try:
            eventually(lambda: server.url or server.process.poll() is not None, 20)  # noqa: B023
            if survives(server, poison):
                break
        finally:
            if server.process.poll() is not None:
                server.close()
        deaths += 1
        assert deaths <= attempts + 1, "it goes on for ever"
    try:
        task = server.ended(poison)
        assert (task["status"], task["attempt"]) == ("failed", attempts)
        assert task["error"]["type"] == "worker_lost"
        # The first death may have left no trace: a first attempt is noted only once it has run for a moment.
        assert attempts <= deaths <= attempts + 1
        for id_ in ids:
            assert server.ended(id_)["status"] == "completed"
        assert server.terminate() == 0
    finally:
        server.close()


def test_a_long_task_beside_one_that_kills_the_server_is_not_blamed(app: Path, tmp_path: Path) -> None:
    data, flag = tmp_path / "data", tmp_path / "flag"
    poison = ""
    for death in range(5):
        with serving(data, str(app), directory=tmp_path) as server:
            if not poison:
                innocent = server.submit("wait_for", {"file": str(flag)})
                eventually(lambda: status(server, innocent) == ("running", 1))  # noqa: B023
                poison = server.submit("poison", {"how": "late"})
            elif death == 2:  # from its last attempt on, nothing suspect runs beside it
                eventually(lambda: status(server, innocent) == ("running", 3))  # noqa: B023
                flag.touch()
            if survives(server, poison):
                assert server.ended(poison)["error"]["type"] == "worker_lost"
                task = server.ended(innocent)
                assert (task["status"], task["attempt"]) == ("completed", 3)
                assert server.terminate() == 0, server.text()
                return
    raise AssertionError("it goes on for ever")


def survives(server: Server, poison: str) -> bool:
    """Wait until the server has died, or the poisonous task has ended in it."""

    def look() -> str:
        if server.process.poll() is not None:
            return "dead"
        try:
            ended = server.get(f"/tasks/{poison}").json()["status"] == "failed"
        except OSError:
            return ""  # it is dying
        return "alive" if ended else ""

    return server.url != "" and eventually(look, 20) == "alive"
