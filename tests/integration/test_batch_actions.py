"""Batch actions: one call for many tasks, each of which ends by itself; the same in each of the three ways to run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from submitting import between, look, until
from support import Server, eventually, serving

KINDS = ("inline", "loop", "isolated")
BEHAVE = """
import json
from dataclasses import dataclass
from taskmill import Fail, Retry, current_task, current_tasks

@dataclass
class Item:
    n: int
    do: str = ""
    log: str = ""

def behave(items: list[Item]) -> list[Any]:
    tasks = current_tasks()
    if items[0].log:
        with open(items[0].log, "a") as file:
            file.write(json.dumps([item.n for item in items]) + "\\n")
    results = []
    for item, task in zip(items, tasks, strict=True):
        assert task.data["n"] == item.n
        if item.do == "crash":
            os._exit(1)
        if item.do == "raise":
            raise OSError("all of them")
        if item.do in ("short", "text"):
            return [1] if item.do == "short" else "none"
        first = {"fail": Fail("no use"), "error": ValueError("bad"), "retry": Retry(after="50ms"), "bytes": b"x"}
        result = {"n": item.n, "id": task.id, "attempt": task.attempt}
        results.append(first.get(item.do, result) if task.attempt == 1 else result)
    return results
"""
ACTION = """
@action({options}batch=5, batch_wait="200ms", backoff="50ms", name="{kind}")
{async_}def {kind}(items: list[Item]) -> list[Any]:
    return behave(items)

@action({options}batch=3, batch_wait="10m", name="{kind}_full")
{async_}def {kind}_full(items: list[dict[str, Any]]) -> list[Any]:
    return [len(items)] * len(items)
"""
MORE = """
@action(batch=3, batch_wait="200ms", max_attempts=1)
async def slow_loop(items: list[Item]) -> list[int]:
    open(items[0].log, "a").write("began ")
    try:
        await asyncio.sleep(60 if items[0].do else 0.6)
    finally:
        open(items[0].log, "a").write("ended ")
    return [item.n for item in items]

@action(batch=3, batch_wait="200ms", max_attempts=1)
def slow_isolated(items: list[Item]) -> list[int]:
    open(items[0].log, "a").write("began ")
    time.sleep(60 if items[0].do else 0.6)
    open(items[0].log, "a").write("ended ")
    return [item.n for item in items]

@action(batch=3, batch_wait="10m")
async def waits(items: list[Item]) -> list[Any]:
    return behave(items)

@action(batch=2)
async def asks(items: list[Item]) -> str:
    try:
        current_task()
    except LookupError as error:
        return [str(error)] * len(items)
"""


def actions() -> str:
    text = BEHAVE
    for kind in KINDS:
        options = "inline=True, " if kind == "inline" else ""
        text += ACTION.format(kind=kind, options=options, async_="async " if kind == "loop" else "")
    return text + MORE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), actions())
    with serving(directory, directory=directory) as running:
        yield running


def submit(server: Server, action: str, data: list[dict[str, Any]], **options: Any) -> list[str]:
    """Submit tasks at once; return their ids."""
    tasks = [{"action": action, "data": one, **options} for one in data]
    answer = server.request("POST", "/tasks/bulk", {"tasks": tasks})
    assert answer.status == 202, answer.body
    ids: list[str] = answer.json()["ids"]
    return ids


def calls(log: Path) -> list[list[int]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_as_many_as_a_batch_are_run_in_one_call_in_their_order(
    server: Server, kind: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    ids = submit(server, kind, [{"n": n, "log": str(log)} for n in range(15)])
    for n, id_ in enumerate(ids):
        task = server.ended(id_)
        assert task["result"] == {"n": n, "id": id_, "attempt": 1}
        assert task["attempt"] == 1
    assert sorted(calls(log)) == [[*range(5)], [*range(5, 10)], [*range(10, 15)]]


@every_kind
def test_a_full_batch_waits_for_nothing_and_a_part_of_one_for_others(server: Server, kind: str) -> None:
    first, second = submit(server, f"{kind}_full", [{}, {}])
    (quick,) = submit(server, f"{kind}", [{"n": 1}])
    assert server.ended(quick)["status"] == "completed", "another action has the places meanwhile"
    assert look(server, first)["status"] == look(server, second)["status"] == "queued"
    (third,) = submit(server, f"{kind}_full", [{}])
    assert [server.ended(id_)["result"] for id_ in (first, second, third)] == [{"output": 3}] * 3


@every_kind
def test_a_part_of_a_batch_is_run_after_its_wait(server: Server, kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ids = submit(server, kind, [{"n": 1, "log": str(log)}, {"n": 2}])
    for id_ in ids:
        task = server.ended(id_)
        assert between(task["created_at"], task["started_at"]) > 0.15
    assert calls(log) == [[1, 2]]


@every_kind
def test_an_error_in_the_list_is_one_tasks_own(server: Server, kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    does = ["", "fail", "error", "retry", "bytes"]
    ids = submit(server, kind, [{"n": n, "do": do, "log": str(log)} for n, do in enumerate(does)])
    good, fails, errs, retries, unsayable = [server.ended(id_) for id_ in ids]
    assert good["result"] == {"n": 0, "id": ids[0], "attempt": 1}
    assert (fails["status"], fails["attempt"], fails["error"]["type"]) == ("failed", 1, "Fail")
    assert (errs["status"], errs["attempt"]) == ("completed", 2)
    assert errs["attempts"][0]["error"]["type"] == "ValueError"
    assert (retries["status"], retries["attempt"]) == ("completed", 2)
    assert (unsayable["status"], unsayable["attempt"]) == ("failed", 1)
    assert "what JSON cannot say: bytes" in unsayable["error"]["message"]
    first, *later = calls(log)
    assert first == [0, 1, 2, 3, 4]
    assert sorted(n for call in later for n in call) == [2, 3], "what was well is not run again"


@every_kind
def test_a_raised_error_is_every_tasks_and_the_last_attempt_is_made_alone(
    server: Server, kind: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    data = [{"n": n, "do": "raise" if n == 2 else "", "log": str(log)} for n in range(5)]
    tasks = [server.ended(id_) for id_ in submit(server, kind, data, max_attempts=2)]
    assert [task["status"] for task in tasks] == ["completed"] * 2 + ["failed"] + ["completed"] * 2
    assert {task["attempt"] for task in tasks} == {2}
    assert {task["attempts"][0]["error"]["message"] for task in tasks} == {"all of them"}
    first, *later = calls(log)
    assert (first, sorted(later)) == ([0, 1, 2, 3, 4], [[n] for n in range(5)])


@pytest.mark.parametrize("do", ["short", "text"])
@every_kind
def test_what_is_no_list_of_as_many_results_fails_all(server: Server, kind: str, do: str) -> None:
    ids = submit(server, kind, [{"n": n, "do": do} for n in range(5)])
    said = {"short": "returned 1 results; return one for each item", "text": "returned str; return a list"}[
        do
    ]
    for task in map(server.ended, ids):
        assert (task["status"], task["attempt"]) == ("failed", 1)
        assert f"batch action {kind} got 5 items and {said}" in task["error"]["message"]


def test_an_item_that_kills_the_worker_process_does_not_take_the_others_along(server: Server) -> None:
    ids = submit(
        server, "isolated", [{"n": n, "do": "crash" if n == 3 else ""} for n in range(5)], max_attempts=2
    )
    tasks = [server.ended(id_) for id_ in ids]
    assert [task["status"] for task in tasks] == ["completed"] * 3 + ["failed", "completed"]
    assert {task["attempts"][0]["error"]["type"] for task in tasks} == {"worker_crashed"}


@pytest.mark.parametrize("kind", ["loop", "isolated"])
def test_a_cancelled_task_is_left_out_and_the_others_go_on(server: Server, kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ids = submit(server, f"slow_{kind}", [{"n": n, "log": str(log)} for n in range(3)])
    until(server, ids[0], "running")
    assert server.request("POST", f"/tasks/{ids[1]}/cancel").status == 200
    assert [server.ended(id_)["status"] for id_ in ids] == ["completed", "cancelled", "completed"]
    assert log.read_text() == "began ended "


@pytest.mark.parametrize("kind", ["loop", "isolated"])
def test_a_batch_of_which_all_are_cancelled_is_stopped(server: Server, kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ids = submit(server, f"slow_{kind}", [{"n": n, "log": str(log), "do": "sleep"} for n in range(3)])
    until(server, ids[0], "running")
    assert server.request(
        "POST", "/tasks/cancel", {"action": f"slow_{kind}", "status": "running"}
    ).json() == {"count": 3}
    assert [server.ended(id_)["status"] for id_ in ids] == ["cancelled"] * 3
    eventually(lambda: not server.get("/queues").json()["queues"][0]["running"])
    again = submit(server, f"slow_{kind}", [{"n": n, "log": str(tmp_path / "2")} for n in range(9)])
    assert {server.ended(id_)["status"] for id_ in again} == {"completed"}, "the places are free"


@pytest.mark.parametrize("kind", ["loop", "isolated"])
def test_tasks_of_one_timeout_are_run_together_and_time_out_together(
    server: Server, kind: str, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")
    short = submit(server, f"slow_{kind}", [{"n": 1, "do": "sleep", "log": log}] * 2, timeout=0.5)
    plain = submit(server, f"slow_{kind}", [{"n": 2, "log": log}])
    for id_ in short:
        task = server.ended(id_)
        assert (task["status"], task["error"]["type"]) == ("failed", "timeout")
    assert server.ended(plain[0])["result"] == {"output": 2}


def test_a_task_cancelled_while_it_waits_for_others_is_not_run(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    data = [{"n": n, "log": str(log)} for n in range(4)]
    first, second = server.submit("waits", data[0]), server.submit("waits", data[1])
    assert server.request("POST", f"/tasks/{first}/cancel").status == 200
    third, fourth = server.submit("waits", data[2]), server.submit("waits", data[3])
    assert [server.ended(id_)["status"] for id_ in (first, second, third)] == ["cancelled"] + [
        "completed"
    ] * 2
    assert 0 not in [n for call in calls(log) for n in call]
    server.request("POST", f"/tasks/{fourth}/cancel")


def test_current_task_of_several_says_which_call_to_use(server: Server) -> None:
    (id_,) = submit(server, "asks", [{"n": 1}])
    assert "current_tasks() returns them" in server.ended(id_)["result"]["output"]


def test_the_schema_is_that_of_one_item(server: Server) -> None:
    answer = server.request("POST", "/tasks", {"action": "loop", "data": {"n": "one"}})
    assert answer.status == 400
    assert answer.json()["errors"][0]["path"] == "data.n"
    shown = {one["name"]: one for one in server.get("/actions").json()["actions"]}
    assert shown["loop"]["data"]["$defs"]["Item"]["required"] == ["n"]
    assert (shown["loop"]["options"]["batch"], shown["loop"]["options"]["batch_wait"]) == (5, 0.2)


def test_a_stop_runs_what_was_gathered_without_waiting_for_more(tmp_path: Path) -> None:
    directory = application(tmp_path / "app", actions())
    with serving(tmp_path, str(directory)) as server:
        ids = submit(server, "loop_full", [{}, {}])
        assert server.terminate() == 0
    with serving(tmp_path, str(directory), "--only", "http") as server:
        assert [look(server, id_)["result"] for id_ in ids] == [{"output": 2}] * 2
