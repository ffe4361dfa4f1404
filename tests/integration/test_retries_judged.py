"""Which failures are followed by another attempt: the same in each of the three ways to run an action."""

from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from submitting import between, look, submit, until
from support import Server, serving

KINDS = ("inline", "loop", "isolated")
BEHAVE = """
from taskmill import Fail, Retry, current_task

class Passing(Exception):
    pass

class Lasting(Exception):
    pass

class Odd(Passing, Lasting):
    pass

def behave(raises: str, until: int, log: str) -> Any:
    task = current_task()
    if log:
        with open(log, "a") as file:
            file.write(f"{task.attempt}\\n")
    if log and len(open(log).readlines()) >= until or not log and task.attempt >= until:
        return {"id": task.id, "attempt": task.attempt, "data": task.data, "cancelled": task.cancelled}
    raise {
        "passing": Passing("not yet"), "lasting": Lasting("never"), "odd": Odd("both"), "other": ValueError("other"),
        "retry": Retry("come back", after="50ms"), "free": Retry(after=0.05, counts=False), "fail": Fail("no use"),
    }[raises]
"""
DECLARED = 'backoff=["50ms", "50ms", "10m"], retry_on=(Passing, ValueError), no_retry_on=Lasting'
ACTION = """
@action({options}{declared}, name="{kind}{suffix}")
{async_}def {kind}{suffix}(raises: str = "", until: int = 100, log: str = "") -> Any:
    return behave(raises, until, log)
"""


def actions() -> str:
    text = BEHAVE
    for kind in KINDS:
        for suffix, declared in (("", 'backoff="50ms"'), ("_choosy", DECLARED)):
            options = "inline=True, " if kind == "inline" else ""
            async_ = "async " if kind == "loop" else ""
            text += ACTION.format(options=options, declared=declared, kind=kind, suffix=suffix, async_=async_)
    return text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), actions())
    with serving(directory, directory=directory) as running:
        yield running


every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_current_task_tells_the_action_what_it_runs(server: Server, kind: str) -> None:
    data = {"raises": "other", "until": 2, "log": ""}
    id_ = submit(server, kind, data)
    task = server.ended(id_)
    assert task["result"] == {"id": id_, "attempt": 2, "data": data, "cancelled": False}


@every_kind
def test_an_error_is_retried_until_it_is_gone_and_the_history_is_kept(server: Server, kind: str) -> None:
    task = server.ended(submit(server, kind, {"raises": "other", "until": 3}))
    assert (task["status"], task["attempt"]) == ("completed", 3)
    first, second, last = task["attempts"]
    for number, attempt in ((1, first), (2, second)):
        assert attempt["attempt"] == number
        assert attempt["error"]["type"] == "ValueError"
        assert attempt["error"]["message"] == "other"
        assert attempt["error"]["at"] == attempt["ended_at"]
        assert "raise {" in attempt["error"]["traceback"]
        assert between(attempt["started_at"], attempt["ended_at"]) >= 0
    assert between(first["ended_at"], second["started_at"]) >= 0.05
    assert (last["attempt"], last["error"]) == (3, None)
    assert last["ended_at"] == task["finished_at"]
    assert task["error"] == {key: second["error"][key] for key in ("type", "message", "at")}, "the last one's"


@every_kind
@pytest.mark.parametrize(
    ("raises", "attempts"), [("lasting", 1), ("odd", 1), ("fail", 1), ("passing", 3), ("other", 3)]
)
def test_retry_on_and_no_retry_on(server: Server, kind: str, raises: str, attempts: int) -> None:
    task = until(server, submit(server, f"{kind}_choosy", {"raises": raises}, max_attempts=3), "failed")
    assert task["attempt"] == attempts
    assert [attempt["attempt"] for attempt in task["attempts"]] == list(range(1, attempts + 1))


@every_kind
def test_fail_ends_a_task_at_once(server: Server, kind: str) -> None:
    task = server.ended(submit(server, kind, {"raises": "fail"}, max_attempts=50))
    assert (task["status"], task["attempt"]) == ("failed", 1)
    assert (task["error"]["type"], task["error"]["message"]) == ("Fail", "no use")


@every_kind
def test_retry_says_when_and_counts(server: Server, kind: str) -> None:
    task = server.ended(submit(server, kind, {"raises": "retry"}, max_attempts=2))
    assert (task["status"], task["attempt"]) == ("failed", 2)
    assert (task["error"]["type"], task["error"]["message"]) == ("Retry", "come back")
    first, second = task["attempts"]
    assert 0.05 <= between(first["ended_at"], second["started_at"]) < 5


@every_kind
def test_retry_that_does_not_count_costs_no_attempt(
    server: Server, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("log") / kind
    task = server.ended(submit(server, kind, {"raises": "free", "until": 5, "log": str(log)}, max_attempts=1))
    assert log.read_text().split() == ["1"] * 5
    assert (task["status"], task["attempt"], task["result"]["attempt"]) == ("completed", 1, 1)
    assert [attempt["attempt"] for attempt in task["attempts"]] == [1]
    assert task["error"] is None


def test_the_last_ten_attempts_are_kept(server: Server) -> None:
    task = server.ended(submit(server, "inline", {"raises": "other"}, max_attempts=13))
    assert task["attempt"] == 13
    assert [attempt["attempt"] for attempt in task["attempts"]] == list(range(4, 14))


@every_kind
def test_redrive_gives_as_many_attempts_as_a_new_task_has(
    server: Server, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("log") / kind
    id_ = submit(server, kind, {"raises": "other", "until": 5, "log": str(log)})
    assert server.ended(id_)["attempt"] == 3
    answer = server.request("POST", f"/tasks/{id_}/retry")
    assert answer.status == 200
    redriven: dict[str, Any] = answer.json()
    assert (redriven["max_attempts"], redriven["finished_at"]) == (6, None)
    task = server.ended(id_)
    assert (task["status"], task["attempt"]) == ("completed", 5)
    assert [attempt["attempt"] for attempt in task["attempts"]] == [1, 2, 3, 4, 5]
    again = server.request("POST", f"/tasks/{id_}/retry")
    assert again.status == 409
    assert look(server, id_) == task
