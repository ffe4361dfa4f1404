"""Both clients against a real server: everything that they can ask."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apps import application
from either_client import KINDS, client
from support import Server, eventually, serving

from taskmill.client import (
    Client,
    NotEnded,
    ProblemError,
    SomeRefused,
    Submission,
    TaskCancelled,
    TaskFailed,
    batch_calls,
)

ACTIONS = """
@action(inline=True, max_attempts=1)
def greet(name: str = "you") -> str:
    return f"Hello, {name}!"

@action(inline=True, max_attempts=1)
def broken() -> None:
    raise LookupError("nothing there")

@action(inline=True)
def describe(size: int) -> dict[str, int]:
    return {"size": size}

@action(inline=True)
def gathered(batch: dict[str, Any], title: str) -> dict[str, list[int]]:
    return {title: [one["result"]["size"] for one in batch["results"]]}

@action
async def forever() -> None:
    await asyncio.sleep(3600)
"""
WAIT = 20  # seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("client")
    with serving(directory, directory=application(directory / "app", ACTIONS)) as running:
        yield running


@pytest.fixture(params=KINDS)
def mill(request: pytest.FixtureRequest, server: Server) -> Iterator[Client]:
    with client(request.param, server.url) as one:
        yield one


def test_a_task_is_submitted_waited_for_and_has_a_result(mill: Client) -> None:
    handle = mill.submit("greet", {"name": "Ada"})
    assert (handle.status, handle.duplicate, handle.replayed) == ("queued", False, False)
    assert handle.result(WAIT) == "Hello, Ada!"
    task = handle.wait(WAIT)
    assert (task.id, task.action, task.data, task.status) == (
        handle.id,
        "greet",
        {"name": "Ada"},
        "completed",
    )
    assert task.result == {"output": "Hello, Ada!"}
    assert [attempt.error for attempt in task.attempts] == [None]
    assert handle.get() == mill.get(handle.id) == task
    assert mill.result(mill.submit("describe", {"size": 3}).id, WAIT) == {"size": 3}


def test_every_option_arrives(mill: Client) -> None:
    handle = mill.submit(
        "greet", queue="tasks", priority=7, delay="1h", key=f"k{id(mill)}", fair_key="f", tags=["a", "b c"],
        max_attempts=4, timeout=timedelta(minutes=2), expires_in=7200,
    )  # fmt: skip
    task = handle.get()
    shown = (task.queue, task.priority, task.fair_key, task.tags, task.max_attempts, task.timeout)
    assert shown == ("tasks", 7, "f", ["a", "b c"], 4, 120)
    assert str(task.expires_at) > str(task.run_at) > task.created_at
    again = mill.submit("greet", key=f"k{id(mill)}")
    assert (again.id, again.duplicate) == (handle.id, True)
    at = datetime.now(UTC) + timedelta(days=1)
    late = mill.submit("greet", run_at=at).get()
    assert late.run_at == at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    first, second = (mill.submit("greet", idempotency_key=f"once{id(mill)}") for _ in range(2))
    assert (first.id, first.replayed, second.replayed) == (second.id, False, True)
    assert mill.submit("greet", start_by="1m").status == "queued"


def test_a_task_that_fails_or_is_cancelled_raises_why(mill: Client) -> None:
    with pytest.raises(TaskFailed, match="LookupError: nothing there") as failed:
        mill.submit("broken").result(WAIT)
    assert failed.value.error is not None
    assert (failed.value.error.type, failed.value.task.action) == ("LookupError", "broken")
    handle = mill.submit("greet", delay="1h")
    with pytest.raises(NotEnded, match=r"is scheduled after 0\.1 s"):
        handle.wait(0.1)
    assert handle.cancel().status == "cancelled"
    with pytest.raises(TaskCancelled, match="was cancelled"):
        handle.result(WAIT)
    assert mill.retry(handle.id).status == "queued"
    assert handle.result(WAIT) == "Hello, you!"
    running = mill.submit("forever")
    eventually(lambda: running.get().status == "running", WAIT)
    assert running.cancel().status in ("running", "cancelled")
    assert running.wait(WAIT).status == "cancelled"


def test_a_refusal_says_all_that_the_server_said(mill: Client) -> None:
    with pytest.raises(ProblemError) as refused:
        mill.submit("greet", {"name": 5})
    assert refused.value.status == 400
    assert [(error.path, error.message) for error in refused.value.errors] == [
        ("data.name", "Expected `str`, got `int`")
    ]
    assert str(refused.value).startswith("Mend the fields that `errors` names.\n  data.name: Expected")
    with pytest.raises(ProblemError, match="No task has this id") as missing:
        mill.get("nonsense")
    assert missing.value.status == 404
    handle = mill.submit("greet")
    handle.wait(WAIT)
    with pytest.raises(ProblemError, match="only what has not can be cancelled") as conflict:
        handle.cancel()
    assert (conflict.value.status, conflict.value.repeated) == (409, False)


def test_many_are_submitted_in_order_and_a_refused_one_is_named(mill: Client) -> None:
    names = [f"n{number}" for number in range(300)]
    handles = mill.submit_many(Submission("greet", {"name": name}) for name in names)
    assert [handle.get().data["name"] for handle in handles[::50]] == names[::50]
    assert len({handle.id for handle in handles}) == 300
    mixed = [Submission("greet", {"name": name}) for name in ("a", "b")]
    mixed.insert(1, Submission("greet", {"nme": "x"}))
    with pytest.raises(SomeRefused, match=r"1 of 3 submissions were refused; number 1 because: ") as some:
        mill.submit_many(mixed)
    assert [handle is None for handle in some.value.handles] == [False, True, False]
    assert {number: error.status for number, error in some.value.errors.items()} == {1: 400}
    assert mill.submit_many([]) == []


def test_lists_are_filtered_and_cut(mill: Client) -> None:
    tag = f"listed{id(mill)}"
    handles = mill.submit_many([Submission("greet", tags=[tag]) for _ in range(5)])
    ids = sorted((handle.id for handle in handles), reverse=True)
    assert [task.id for task in mill.list(tag=tag)] == ids
    assert [task.id for task in mill.list(tag=tag, limit=2)] == ids[:2]
    assert list(mill.list(tag=tag, limit=0)) == []
    assert list(mill.list(tag=tag, created_after=datetime.now(UTC) + timedelta(hours=1))) == []
    for handle in handles:
        handle.wait(WAIT)
    assert len(list(mill.list(tag=tag, status="completed", action="greet", queue="tasks"))) == 5
    with pytest.raises(ProblemError, match="unknown status"):
        list(mill.list(status="done"))


def test_many_are_cancelled_and_run_again(mill: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.client.calls.STEP", 3)  # so that it takes several requests
    tag = f"many{id(mill)}"
    mill.submit_many([Submission("broken", tags=[tag], delay="1h") for _ in range(10)])
    assert mill.cancel_many(tag=tag, dry_run=True) == 10
    assert mill.cancel_many(tag=tag) == 10
    assert mill.cancel_many(tag=tag) == 0
    assert mill.retry_many(tag=tag, dry_run=True).count == 10
    assert mill.retry_many(tag=tag).count == 10
    eventually(lambda: len(list(mill.list(tag=tag, status="failed"))) == 10, WAIT)
    tried = mill.retry_many(tag=tag, canary=2)
    assert (tried.count, tried.stopped) == (2, True)
    assert tried.canary is not None
    assert tried.canary.error is not None
    assert (tried.canary.failed, tried.canary.error.type) == (2, "LookupError")
    with pytest.raises(ProblemError, match="at least one of"):
        mill.cancel_many()


def test_why_a_task_waits_and_pause_of_its_queue(mill: Client) -> None:
    assert mill.pause("tasks", by="a test").paused is not None
    (queue,) = mill.queues()
    assert queue.paused is not None
    assert (queue.name, queue.paused.by) == ("tasks", "a test")
    handle = mill.submit("greet")
    reasons = {reason["reason"]: reason for reason in mill.why(handle.id).waiting_for}
    assert reasons["paused"]["by"] == "a test"
    assert mill.resume("tasks").paused is None
    assert handle.result(WAIT) == "Hello, you!"
    assert mill.queue("tasks").paused is None
    with pytest.raises(ProblemError, match="Did you mean `tasks`"):
        mill.queue("task")


def test_actions_are_listed_with_their_schemas(mill: Client) -> None:
    actions = {action.name: action for action in mill.actions()}
    assert list(actions) == ["broken", "describe", "forever", "gathered", "greet"]
    assert actions["describe"].data["$defs"]["describe_data"]["required"] == ["size"]
    assert actions["greet"].options.runs == "inline"


def test_schedules(mill: Client) -> None:
    made = mill.put_schedule("hourly", "greet", {"name": "again"}, every="1h")
    assert (made.every, made.data, made.recent) == (3600, {"name": "again"}, [])
    assert mill.run_schedule("hourly").result(WAIT) == "Hello, again!"
    assert mill.pause_schedule("hourly").paused
    assert [one.paused for one in mill.schedules()] == [True]
    assert not mill.resume_schedule("hourly").paused
    assert len(mill.schedule("hourly").recent) >= 0
    mill.delete_schedule("hourly")
    assert list(mill.schedules()) == []
    with pytest.raises(ProblemError, match="No schedule has this name"):
        mill.delete_schedule("hourly")


def test_pruning_and_requests_of_ones_own(mill: Client) -> None:
    handle = mill.submit("greet")
    handle.wait(WAIT)
    assert mill.prune(older_than=0, status="completed") >= 1
    with pytest.raises(ProblemError, match="was pruned since") as gone:
        handle.get()
    assert gone.value.status == 410
    answer = mill.request("GET", "healthz")
    assert (answer.status, answer.json(), answer.headers["content-type"]) == (
        200, {"status": "ok"}, "application/json",
    )  # fmt: skip
    refused = mill.request("POST", "tasks", body={"action": "gret"})
    assert (refused.status, refused.json()["errors"][0]["path"]) == (400, "action")


def test_threads_share_a_client(mill: Client) -> None:
    ids: list[str] = []

    def work() -> None:
        ids.extend(mill.submit("greet").id for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(ids)) == 160


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_goes_over_all_pages(kind: str, tmp_path: Path) -> None:
    with serving(tmp_path) as server, client(kind, server.url) as mill:
        handles = mill.submit_many(Submission("uppercase", {"text": "x"}) for _ in range(3_000))
        listed = [task.id for task in mill.list(action="uppercase")]
        assert listed == sorted((handle.id for handle in handles), reverse=True)
        assert len(listed) == 3_000


def test_batches(mill: Client) -> None:
    last = Submission("gathered", {"title": "all"})
    batch = mill.batch(
        [Submission("describe", {"size": n}, name=f"n{n}") for n in range(3)], on_complete=last
    )
    assert batch.on_complete is not None
    assert mill.result(batch.on_complete, WAIT) == {"all": [0, 1, 2]}
    ended = batch.wait(WAIT)
    assert (ended.status, ended.progress.done, ended.counts.completed, ended.failed) == ("ended", 3, 3, [])
    assert [(one.name, one.result) for one in batch.results()] == [(f"n{n}", {"size": n}) for n in range(3)]
    assert next(mill.batches()).id == batch.id
    assert mill.get_batch(batch.id).progress.total == 3


def test_an_open_batch(mill: Client) -> None:
    batch = mill.batch(open=True, name="open")
    (broken, waits) = batch.add(
        [Submission("broken", name="b"), Submission("describe", {"size": 1}, delay=600)]
    )
    assert mill.wait(broken, WAIT).status == "failed"
    assert batch.get().status == "open"
    with pytest.raises(TimeoutError, match=r"1 of 2"):
        batch.wait(0)
    assert batch.close().status == "running"
    with pytest.raises(ProblemError, match="no more tasks"):
        batch.add([Submission("greet")])
    assert batch.cancel().cancelled_at is not None
    assert [(one.id, one.name, one.status) for one in batch.wait(WAIT).failed] == [
        (broken, "b", "failed"),
        (waits, None, "cancelled"),
    ]


def test_a_batch_of_more_than_fit_in_a_request(mill: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_calls, "MOST", 2)
    for size in (2, 5):
        batch = mill.batch(Submission("describe", {"size": n}) for n in range(size))
        assert len(batch.ids) == size
        assert batch.wait(WAIT).progress.total == size
