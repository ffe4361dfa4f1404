"""Tasks that an action submits: with its result or not at all, wherever actions run."""

from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from submitting import look, submit, until
from support import Server, eventually, serving

KINDS = ("loop", "isolated", "inline")
ACTIONS = """
from taskmill import Retry, Unique, current_task, submit

@action(inline=True)
def child(n: int) -> int:
    return n

@action(inline=True, unique=Unique("refuse", key="data.n"))
def single(n: int) -> int:
    return n

@action(inline=True)
def upper(text: str) -> str:
    return text.upper()

def end(then: str) -> None:
    if then == "fail":
        raise ValueError("after all")
    if then == "again" and current_task().attempt == 1:
        raise Retry(after="50ms")

@action(max_attempts=2)
async def fan_loop(n: int, tag: str, then: str = "") -> list[str]:
    ids = [await submit("child", {"n": number}, tags=[tag]) for number in range(n)]
    end(then)
    return [*ids, await submit(upper.with_options(after=ids, tags=[tag]).submission(text=tag))]

def fan(n: int, tag: str, then: str = "") -> list[str]:
    ids = [submit("child", {"n": number}, tags=[tag]).id for number in range(n)]
    end(then)
    return [*ids, submit(upper.with_options(after=ids, tags=[tag]).submission(text=tag)).id]

@action(max_attempts=2)
def fan_isolated(n: int, tag: str, then: str = "") -> list[str]:
    return fan(n, tag, then)

@action(inline=True, max_attempts=2)
def fan_inline(n: int, tag: str, then: str = "") -> list[str]:
    return fan(n, tag, then)

def two(tag: str, second: dict[str, Any]) -> None:
    submit("child", {"n": 1}, tags=[tag])
    submit(second.pop("action"), second.pop("data", {"n": 1}), **second)

@action(max_attempts=1)
async def two_loop(tag: str, second: dict[str, Any]) -> None:
    two(tag, second)

@action(max_attempts=1)
def two_isolated(tag: str, second: dict[str, Any]) -> None:
    two(tag, second)

@action(inline=True, max_attempts=1)
def two_inline(tag: str, second: dict[str, Any]) -> None:
    two(tag, second)

@action(batch=2)
def gathered(items: list[int]) -> list[str]:
    return [submit("child", {"n": item}).id for item in items]

@action()
async def endless(tag: str) -> None:
    await submit("child", {"n": 1}, tags=[tag])
    await asyncio.sleep(600)
"""


SERVERS = [pytest.param("postgres", marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("inside")
    url = None if request.param == "sqlite" else request.getfixturevalue(request.param).create()
    with serving(place, str(application(place / "app", ACTIONS, url))) as server:
        yield server
        assert server.terminate() == 0
        assert "ERROR" not in server.text()


def tagged(server: Server, tag: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = server.get(f"/tasks?tag={tag}").json()["tasks"]
    return tasks


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_submits_is_stored_with_its_result_and_runs(server: Server, kind: str) -> None:
    tag = f"goes-well-{kind}"
    ids = until(server, submit(server, f"fan_{kind}", {"n": 3, "tag": tag}), "completed")["result"]["output"]
    assert len(tagged(server, tag)) == 4
    assert [until(server, id_, "completed")["result"]["output"] for id_ in ids] == [0, 1, 2, tag.upper()]


@pytest.mark.parametrize("kind", KINDS)
def test_an_attempt_that_fails_submits_nothing_and_the_next_one_submits_afresh(
    server: Server, kind: str
) -> None:
    lost, again = f"fails-{kind}", f"again-{kind}"
    failing = submit(server, f"fan_{kind}", {"n": 3, "tag": lost, "then": "fail"}, max_attempts=1)
    retried = submit(server, f"fan_{kind}", {"n": 3, "tag": again, "then": "again"})
    assert until(server, failing, "failed")["error"]["type"] == "ValueError"
    ids = until(server, retried, "completed", attempt=2)["result"]["output"]
    assert sorted(ids) == sorted(task["id"] for task in tagged(server, again))
    assert tagged(server, lost) == []


UNKNOWN = "01890000-0000-7000-8000-000000000000"
WRONG = {
    "action": ({"action": "chidl"}, "action: "),
    "data": ({"action": "child", "data": {"n": "one"}}, "data.n"),
    "option": ({"action": "child", "start_by": 1}, "start_by"),
    "queue": ({"action": "child", "queue": "nowhere"}, "queue"),
    "after": ({"action": "child", "after": [UNKNOWN]}, "after[0]"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", WRONG)
def test_where_one_cannot_be_all_are_left_out_and_its_own_task_fails(
    server: Server, kind: str, wrong: str
) -> None:
    second, named = WRONG[wrong]
    tag = f"wrong-{wrong}-{kind}"
    task = until(server, submit(server, f"two_{kind}", {"tag": tag, "second": second}), "failed")
    assert task["error"]["type"] == "SubmitError"
    assert named in task["error"]["message"]
    assert task["result"] is None
    assert tagged(server, tag) == []


def test_a_key_that_is_taken_and_refused_stores_nothing_either(server: Server) -> None:
    first = submit(server, "single", {"n": 1}, delay=600)
    task = until(
        server, submit(server, "two_loop", {"tag": "taken", "second": {"action": "single"}}), "failed"
    )
    assert task["error"]["type"] == "SubmitError"
    assert "key" in task["error"]["message"]
    assert tagged(server, "taken") == []
    server.request("POST", f"/tasks/{first}/cancel")


def test_a_task_that_is_cancelled_submits_nothing(server: Server) -> None:
    id_ = submit(server, "endless", {"tag": "cancelled"})
    until(server, id_, "running")
    assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
    eventually(lambda: look(server, id_)["status"] == "cancelled")
    assert tagged(server, "cancelled") == []


def test_a_batch_action_cannot_submit(server: Server) -> None:
    task = until(server, submit(server, "gathered", 1, max_attempts=1), "failed")
    assert task["error"]["type"] == "SubmitError"
    assert "batch action" in task["error"]["message"]
