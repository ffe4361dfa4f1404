"""Steps: what an attempt has done is kept, and the next one does what is missing; in both places where steps are."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from apps import application
from nodes import POSTGRES, cluster
from submitting import look, submit, until
from support import Server, eventually, serving

KINDS = ("loop", "isolated")
ACTIONS = """
import contextlib
import json
from dataclasses import dataclass
from taskmill import current_task, step
from taskmill.tasks.stepping.book import AttemptLost

@dataclass
class Paid:
    order: int
    by: str

def note(log: str, *words: object) -> None:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps(words) + "\\n").encode())
    os.close(file)

def is_there(path: str) -> bool:
    return os.path.exists(path)

def pay(log: str, order: int) -> Paid:
    note(log, "pay", order)
    return Paid(order, by="card")

def ship(log: str, order: int, fails: bool) -> str:
    note(log, "ship", order)
    if fails:
        raise OSError("no lorry")
    return f"parcel {order}"

def told(log: str, n: int) -> int:
    note(log, n)
    return n

async def pay_async(log: str, order: int) -> Paid:
    return pay(log, order)

async def ship_async(log: str, order: int, fails: bool) -> str:
    return ship(log, order, fails)

async def told_async(log: str, n: int) -> int:
    return told(log, n)

@action(backoff="50ms")
def order_isolated(log: str, order: int) -> list[Any]:
    paid = step("pay", pay, log, order)
    parcel = step("ship", ship, log, order, fails=current_task().attempt < 3)
    return [paid.by, parcel]

@action(backoff="50ms")
async def order_loop(log: str, order: int) -> list[Any]:
    paid = await step("pay", pay_async, log, order)
    parcel = await step("ship", ship_async, log, order, fails=current_task().attempt < 3)
    return [paid.by, parcel]

@action(max_attempts=20)
def gates_isolated(log: str, count: int) -> list[int]:
    found = []
    for n in range(count):
        while not is_there(f"{log}.{n}"):
            time.sleep(0.005)
        found.append(step("part", told, log, n))
    return found

@action(max_attempts=20)
async def gates_loop(log: str, count: int) -> list[int]:
    found = []
    for n in range(count):
        while not is_there(f"{log}.{n}"):
            await asyncio.sleep(0.005)
        found.append(await step("part", told_async, log, n))
    return found

@action(max_attempts=1)
async def at_once(log: str) -> list[int]:
    return list(await asyncio.gather(*(step("part", told_async, log, n) for n in range(50))))

@action(timeout=0.3, max_attempts=1)
async def late(log: str) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    while not is_there(log + ".go"):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)
    try:
        await step("late", told_async, log, 1)
    except AttemptLost as error:
        note(log, str(error))

def bad(size: int) -> object:
    return "x" * size if size else {1, b"x"}

def named_wrongly() -> int:
    return "one"

@action
def returns(size: int) -> Any:
    return step("big", bad, size)

@action
def declares() -> Any:
    return step("count", named_wrongly)

@action
def mixes() -> Any:
    return step("mixed", told_async, "", 1)

@action
async def mixes_too() -> Any:
    return step("mixed", told, "", 1)

@action(inline=True)
def inline() -> Any:
    return step("one", told, "", 1)

@action(batch=2)
async def batched(items: list[int]) -> list[Any]:
    return [await step("one", told_async, "", 1)]

@action
def nameless() -> Any:
    return step("a\\nb", told, "", 1)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def noted(log: Path) -> list[Any]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def names(task: dict[str, Any]) -> list[str]:
    return [step["name"] for step in task.get("steps", [])]


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_a_retry_does_what_is_missing(server: Server, kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    task = server.ended(submit(server, f"order_{kind}", {"log": str(log), "order": 7}))
    assert (task["status"], task["attempt"]) == ("completed", 3)
    assert task["result"] == {"output": ["card", "parcel 7"]}, "what was kept is of the declared type again"
    assert noted(log) == [["pay", 7], ["ship", 7], ["ship", 7], ["ship", 7]]
    assert names(task) == ["pay", "ship"]
    pay, ship = task["steps"]
    assert (
        task["created_at"] <= pay["started_at"] <= pay["ended_at"] <= ship["started_at"] <= ship["ended_at"]
    )


@every_kind
def test_a_task_that_is_run_again_goes_on_where_it_stood(server: Server, kind: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    id_ = submit(server, f"order_{kind}", {"log": str(log), "order": 7}, max_attempts=1)
    assert server.ended(id_)["status"] == "failed"
    assert names(look(server, id_)) == ["pay"]
    assert server.request("POST", f"/tasks/{id_}/retry").status == 200
    until(server, id_, "completed", 3)
    assert noted(log) == [["pay", 7], ["ship", 7], ["ship", 7], ["ship", 7]]


def test_a_task_without_steps_shows_none(server: Server, tmp_path: Path) -> None:
    task = server.ended(submit(server, "gates_loop", {"log": str(tmp_path / "log"), "count": 0}))
    assert "steps" not in task


def test_steps_at_once_are_kept_each(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    task = server.ended(submit(server, "at_once", {"log": str(log)}))
    assert task["result"] == {"output": list(range(50))}
    assert sorted(names(task)) == sorted(["part"] + [f"part#{n}" for n in range(2, 51)])


@pytest.mark.parametrize("kind", ["loop", pytest.param("isolated", marks=pytest.mark.long)])
def test_kill_9_between_steps_again_and_again(tmp_path: Path, kind: str) -> None:
    directory, log = application(tmp_path / "app", ACTIONS), tmp_path / "log"
    ids: list[str] = []
    for life in range(3):
        with serving(tmp_path, str(directory)) as server:
            ids = ids or [submit(server, f"gates_{kind}", {"log": str(log), "count": 6})]
            for gate in (2 * life, 2 * life + 1):
                log.with_name(f"log.{gate}").touch()
                eventually(partial(has_taken, server, ids[0], gate + 1), 20)
            if life < 2:
                server.kill()
            else:
                assert server.ended(ids[0])["result"] == {"output": list(range(6))}
    assert noted(log) == [[n] for n in range(6)], "each once: it was stored before the next began"


def has_taken(server: Server, id_: str, count: int) -> bool:
    return len(names(look(server, id_))) == count


def test_a_late_attempt_keeps_nothing(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    id_ = submit(server, "late", {"log": str(log)})
    assert server.ended(id_)["error"]["type"] == "timeout"
    log.with_name("log.go").touch()
    eventually(lambda: len(noted(log)) == 2, 20)
    assert noted(log)[1][0].startswith(
        "what step 'late' returned is not kept: the task was cancelled, timed out"
    )
    assert names(look(server, id_)) == []


@pytest.mark.parametrize(
    ("action", "data", "said"),
    [
        (
            "returns",
            {"size": 2**20},
            "step 'big' returned 1048578 bytes, and 1048576 are kept of one: store them",
        ),
        ("returns", {"size": 0}, "step 'big' returned what JSON cannot say: bytes"),
        (
            "declares",
            {},
            "step 'count': what was kept is not what its function declares to return (Expected `int`",
        ),
        ("mixes", {}, "step 'mixed' is an `async def`, and its action a `def`"),
        ("mixes_too", {}, "step 'mixed' is a `def`, and its action an `async def`"),
        ("inline", {}, "an inline action cannot wait until a step is stored: leave `inline` out"),
        ("batched", 1, "a batch action has no steps of its own"),
        ("nameless", {}, "'a\\nb' cannot name a step"),
    ],
)
def test_what_cannot_be_a_step_fails_its_task_and_says_why(
    server: Server, action: str, data: object, said: str
) -> None:
    task = server.ended(submit(server, action, data))
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 1, "StepError")
    assert task["error"]["message"].startswith(said)
    assert names(task) == []


@pytest.mark.long
@every_kind
def test_a_node_goes_on_where_a_killed_one_stood(tmp_path: Path, postgres_url: str, kind: str) -> None:
    log = tmp_path / "log"
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        door, first = there.start("--only", "http"), there.start("--only", "workers")
        id_ = submit(door, f"gates_{kind}", {"log": str(log), "count": 3})
        log.with_name("log.0").touch()
        eventually(partial(has_taken, door, id_, 1), 20)
        there.start("--only", "workers")
        first.kill()
        for gate in (1, 2):
            log.with_name(f"log.{gate}").touch()
        task = door.ended(id_, 60)
        print(there.text())
    assert task["result"] == {"output": [0, 1, 2]}
    assert names(task) == ["part", "part#2", "part#3"]
    assert noted(log) == [[0], [1], [2]]
