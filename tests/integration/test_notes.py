"""Progress and logs of every kind of action, as the API shows them while tasks run and afterwards."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from external import ENTRIES, Worker, declare
from support import Server, eventually, serving

ACTIONS = """
from taskmill import current_task, current_tasks, Retry

def waits(gate: str) -> None:
    while not os.path.exists(gate):
        time.sleep(0.005)

@action
def process(gate: str) -> str:
    task = current_task()
    task.progress(1, 2, "half")
    task.log("from a process")
    waits(gate)
    task.log("on its way out")
    return "out"

@action
async def loop(gate: str) -> str:
    task = current_task()
    task.progress(1, 2, "half")
    task.log("from the loop")
    await asyncio.to_thread(waits, gate)
    await asyncio.to_thread(lambda: current_task().log("on its way out"))
    return "out"

@action(inline=True)
def inline(gate: str) -> str:
    task = current_task()
    task.progress(1, 2, "half")
    task.log("on its way out")
    return "out"

@action(batch=3, batch_wait="10ms")
def together(items: list[int]) -> list[int]:
    for task, item in zip(current_tasks(), items):
        task.progress(item)
        task.log(f"item {item}")
    return items

@action
def busy(seconds: float) -> int:
    task, end, calls = current_task(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        calls += 1
        task.progress(calls, None, "busy")
        task.log(f"call {calls}")
    return calls

@action(max_attempts=3, backoff="50ms")
def twice() -> str:
    task = current_task()
    task.log(f"attempt {task.attempt}")
    if task.attempt < 2:
        task.progress(50, 100)
        raise ValueError("once more")
    return "done"

@action
def wrong(what: str) -> None:
    task = current_task()
    if what == "nan":
        task.progress(float("nan"))
    elif what == "text":
        task.progress("half")
    else:
        task.log(7)

@action
def leaves_a_thread(gate: str) -> str:
    task = current_task()
    def later() -> None:
        waits(gate)
        task.log("too late")
        open(gate + ".said", "w").close()
    threading.Thread(target=later, daemon=True).start()
    return "gone"

@action(max_attempts=1)
def dies() -> None:
    current_task().progress(3, 4)
    current_task().log("the last words")
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
"""
HALF = {"done": 1, "total": 2, "message": "half"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = declare(application(tmp_path_factory.mktemp("app"), ACTIONS), ENTRIES)
    with serving(tmp_path_factory.mktemp("data"), str(made)) as server:
        yield server


def log_of(server: Server, id_: str) -> list[str]:
    return [line["message"] for line in server.get(f"/tasks/{id_}/log").json()["lines"]]


def progress_of(server: Server, id_: str) -> Any:
    return server.get(f"/tasks/{id_}").json()["progress"]


@pytest.mark.parametrize(("kind", "first"), [("process", "from a process"), ("loop", "from the loop")])
def test_progress_and_log_are_seen_while_a_task_runs(
    server: Server, tmp_path: Path, kind: str, first: str
) -> None:
    gate = tmp_path / "gate"
    id_ = server.submit(kind, {"gate": str(gate)})
    eventually(lambda: log_of(server, id_) == [first], 20)
    task = server.get(f"/tasks/{id_}").json()
    assert (task["status"], task["progress"]) == ("running", HALF)
    gate.touch()
    assert server.ended(id_)["progress"] == HALF
    assert log_of(server, id_) == [first, "on its way out"]


def test_what_is_said_at_once_is_there_with_the_end(server: Server) -> None:
    id_ = server.submit("inline", {"gate": ""})
    assert server.ended(id_)["progress"] == HALF
    assert log_of(server, id_) == ["on its way out"]


def test_each_task_of_a_batch_has_its_own(server: Server) -> None:
    ids = [server.submit("together", number) for number in range(3)]
    for number, id_ in enumerate(ids):
        assert server.ended(id_)["progress"]["done"] == number
        assert log_of(server, id_) == [f"item {number}"]


def test_thousands_of_calls_cost_a_few_notes(server: Server) -> None:
    id_ = server.submit("busy", {"seconds": 1.5})
    task = server.ended(id_)
    calls = task["result"]["output"]
    assert calls > 1_000
    assert task["progress"] == {"done": calls, "total": None, "message": "busy"}
    log = server.get(f"/tasks/{id_}/log").json()
    messages = [line["message"] for line in log["lines"]]
    assert messages == [f"call {number}" for number in range(calls - len(messages) + 1, calls + 1)]
    assert len(messages) == min(1_000, calls)
    assert log["dropped"] == calls - len(messages)


def test_a_second_attempt_begins_anew_and_the_log_goes_on(server: Server) -> None:
    id_ = server.submit("twice")
    task = server.ended(id_)
    assert (task["attempt"], task["progress"]) == (2, None)
    log = server.get(f"/tasks/{id_}/log").json()
    assert [(line["attempt"], line["message"]) for line in log["lines"]] == [
        (1, "attempt 1"), (2, "attempt 2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "type_", "message"),
    [
        ("nan", "ValueError", "progress(done=nan): take a finite number, 1000000000000000 at most"),
        ("text", "TypeError", "progress(done=…) takes a number, not str"),
        ("log", "TypeError", "log(…) takes a text, not int: write str(…)"),
    ],
)
def test_a_mistake_is_told_where_it_is_made(server: Server, what: str, type_: str, message: str) -> None:
    answer = server.request("POST", "/tasks", {"action": "wrong", "data": {"what": what}, "max_attempts": 1})
    error = server.ended(answer.json()["id"])["error"]
    assert (error["type"], error["message"]) == (type_, message)


def test_a_thread_that_an_action_left_behind_says_nothing(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    id_ = server.submit("leaves_a_thread", {"gate": str(gate)})
    assert server.ended(id_)["status"] == "completed"
    gate.touch()
    eventually((tmp_path / "gate.said").exists, 20)
    assert server.ended(server.submit("inline", {"gate": ""}))["status"] == "completed"
    assert log_of(server, id_) == []


def test_the_last_words_of_a_process_that_dies_are_kept(server: Server) -> None:
    id_ = server.submit("dies")
    task = server.ended(id_)
    assert (task["error"]["type"], task["progress"]["done"]) == ("worker_crashed", 3)
    assert log_of(server, id_) == ["the last words"]


def test_a_worker_outside_says_it_with_its_heartbeat(server: Server) -> None:
    worker = Worker(server)
    id_ = server.submit("crop", {"x": 1})
    (task,) = worker.claim()
    assert (
        worker.say("heartbeat", task, progress={"done": 1, "total": 4}, log=["one", "\x1b[31mtwo\0"]) == 200
    )
    assert progress_of(server, id_) == {"done": 1, "total": 4, "message": ""}
    assert log_of(server, id_) == ["one", "\x1b[31mtwo\0"]
    stolen = {**task, "lease": "0" * 32}
    assert worker.say("heartbeat", stolen, progress={"done": 3}) == 409
    assert worker.say("heartbeat", task, progress={"done": "3"}) == 400
    status, answer = worker.post(
        "/tasks/heartbeat",
        {"tasks": [{"id": id_, "lease": task["lease"], "progress": {"done": 2.5}, "log": ["three"]}]},
    )
    assert (status, answer["count"]) == (200, 1)
    assert progress_of(server, id_)["done"] == 2.5
    assert worker.say("complete", task, result=1) == 200
    assert worker.say("heartbeat", task, progress={"done": 9}, log=["late"]) == 409
    assert progress_of(server, id_)["done"] == 2.5
    assert len(log_of(server, id_)) == 3
    worker.close()


def test_control_characters_are_data_and_nothing_of_ours(server: Server) -> None:
    text = "\x1b[2J\r\n fake \u202e"
    id_ = server.submit("crop", {"x": 1})
    worker = Worker(server)
    (task,) = worker.claim()
    assert worker.say("heartbeat", task, log=[text], progress={"done": 0, "message": text}) == 200
    assert worker.say("complete", task, result=None) == 200
    worker.close()
    assert log_of(server, id_) == [text]
    assert progress_of(server, id_)["message"] == text
    assert "\x1b[2J" not in server.text()


@pytest.mark.parametrize(("id_", "status"), [("0" * 8, 404), ("019ab000-0000-7000-8000-000000000000", 404)])
def test_a_log_of_no_task(server: Server, id_: str, status: int) -> None:
    assert server.get(f"/tasks/{id_}/log").status == status


def test_notes_survive_a_kill(tmp_path: Path) -> None:
    made = application(tmp_path / "app", ACTIONS)
    gate = tmp_path / "gate"
    with serving(tmp_path, str(made)) as server:
        id_ = server.submit("process", {"gate": str(gate)})
        eventually(lambda: log_of(server, id_) == ["from a process"], 20)
        server.kill()
    with serving(tmp_path, str(made)) as server:
        assert log_of(server, id_)[0] == "from a process"
        gate.touch()
        task = server.ended(id_)
        assert (task["status"], task["attempt"], task["progress"]) == ("completed", 2, HALF)
        assert log_of(server, id_) == ["from a process", "from a process", "on its way out"]
        assert json.loads(server.get(f"/tasks/{id_}/log").body)["dropped"] == 0
