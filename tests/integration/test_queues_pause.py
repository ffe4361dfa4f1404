"""Pausing a queue: at once, for its own tasks alone, over restarts, and without losing anything."""

from pathlib import Path
from typing import Any

from queues_apart import with_mail
from support import Server, eventually, serving

ACTIONS = """
@action
async def gated(number: int = 0) -> int:
    open("started", "a").write(f"{number}\\n")
    while not os.path.exists("open"):
        await asyncio.sleep(0.01)
    return number

@action(inline=True)
def quick() -> None:
    open("started", "a").write("quick\\n")

@action
def apart(number: int = 0) -> None:
    with open("started", "a") as file:
        file.write(f"{number}\\n")

@action(concurrency=1)
async def single(number: int = 0) -> None:
    open("started", "a").write(f"{number}\\n")
    while not os.path.exists("open"):
        await asyncio.sleep(0.01)
"""


def started(directory: Path) -> list[str]:
    file = directory / "started"
    return file.read_text().split() if file.exists() else []


def submit(server: Server, action: str, queue: str, **more: Any) -> str:
    answer = server.request("POST", "/tasks", {"action": action, "queue": queue, **more})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def pause(server: Server, queue: str, verb: str = "pause", **body: str) -> dict[str, Any]:
    answer = server.request("POST", f"/queues/{queue}/{verb}", body or None)
    assert answer.status == 200, answer.body
    state: dict[str, Any] = answer.json()
    assert state["name"] == queue
    return state


def test_what_runs_is_finished_and_what_the_consumer_holds_does_not_begin(tmp_path: Path) -> None:
    directory = with_mail(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        # Two run and five more are in the consumer's hands.
        ids = [server.submit("gated", {"number": number}) for number in range(20)]
        eventually(lambda: len(started(directory)) == 2)
        pause(server, "tasks", by="the test")
        (directory / "open").touch()
        for id_ in ids[:2]:
            assert server.ended(id_)["status"] == "completed"
        late = server.submit("gated", {"number": 20})
        # Tasks of the other queue go all the way meanwhile, so these would have begun as well.
        for _ in range(20):
            server.ended(submit(server, "quick", "mail"))
        assert [one for one in started(directory) if one != "quick"] == ["0", "1"]
        assert server.get(f"/tasks/{late}").json()["status"] == "queued"
        pause(server, "tasks", "resume")
        for id_ in [*ids, late]:
            assert server.ended(id_)["status"] == "completed"
        begun = [int(one) for one in started(directory) if one != "quick"]
        assert begun == list(range(21)), "each once, and in their order"
        assert server.terminate() == 0


def test_a_pause_lasts_over_restarts_and_a_kill(tmp_path: Path) -> None:
    directory = with_mail(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        paused = pause(server, "mail", by="night shift")["paused"]
        assert paused["by"] == "night shift"
        id_ = submit(server, "quick", "mail")
        server.kill()
    with serving(tmp_path, directory=directory) as server:
        assert server.get("/queues/mail").json()["paused"] == paused
        server.ended(server.submit("quick"))
        assert server.get(f"/tasks/{id_}").json()["status"] == "queued"
        assert pause(server, "mail", "resume")["paused"] is None
        assert server.ended(id_)["status"] == "completed"
        assert server.terminate() == 0
    with serving(tmp_path, directory=directory) as server:
        assert server.get("/queues/mail").json()["paused"] is None
        assert server.ended(submit(server, "quick", "mail"))["status"] == "completed"


def test_pausing_again_and_again_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    directory = with_mail(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        ids = []
        for turn in range(15):
            for number in range(turn * 20, turn * 20 + 20):
                data = {"number": number}
                ids.append(
                    submit(server, "apart", "mail", data=data) if number % 2 else server.submit("apart", data)
                )
            pause(server, "tasks")
            pause(server, "mail")
            pause(server, "tasks", "resume")
            pause(server, "mail", "resume")
        for id_ in ids:
            assert server.ended(id_)["status"] == "completed"
        assert sorted(map(int, started(directory))) == list(range(300))
        assert server.terminate() == 0


def test_a_limit_has_its_place_back_for_what_was_taken_back(tmp_path: Path) -> None:
    directory = with_mail(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        held = [server.submit("gated", {"number": number}) for number in range(2)]
        eventually(lambda: len(started(directory)) == 2)
        waiting = [server.submit("single", {"number": number}) for number in range(10, 13)]
        pause(server, "tasks")
        (directory / "open").touch()
        for id_ in held:
            server.ended(id_)
        pause(server, "tasks", "resume")
        for id_ in waiting:
            assert server.ended(id_)["status"] == "completed"
        assert server.terminate() == 0


def test_a_task_expires_while_its_queue_is_paused(tmp_path: Path) -> None:
    with serving(tmp_path, directory=with_mail(tmp_path / "app", ACTIONS)) as server:
        pause(server, "mail")
        id_ = submit(server, "quick", "mail", expires_in=0.1)
        task = server.ended(id_)
        assert (task["status"], task["error"]["type"], task["attempt"]) == ("failed", "expired", 0)


def test_a_queue_that_there_is_not(tmp_path: Path) -> None:
    with serving(tmp_path, directory=with_mail(tmp_path / "app", ACTIONS)) as server:
        for method, path in (("GET", ""), ("POST", "/pause"), ("POST", "/resume")):
            answer = server.request(method, f"/queues/mial{path}")
            assert answer.status == 404
            assert "Did you mean `mail`?" in answer.json()["detail"]
        answer = server.request("POST", "/queues/mail/pause", {"bye": "x"})
        assert answer.status == 400
        assert answer.json()["errors"] == [{"path": "bye", "message": "unknown field; did you mean `by`?"}]
        assert server.request("POST", "/queues/mail/resume", {"by": "x"}).status == 400
