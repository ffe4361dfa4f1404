"""The example written against the primitives, run as its README says."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import Server, eventually, serving

EXAMPLE = Path(__file__).parents[2] / "examples" / "primitives"


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, str(EXAMPLE)) as running:
        yield running


def listed(server: Server, count: int, query: str = "") -> list[dict[str, Any]]:
    """Wait until so many tasks are listed, and return them."""

    def look() -> list[dict[str, Any]] | None:
        page = server.get("/tasks" + query).json()
        assert page["count"] == len(page["tasks"])
        return page["tasks"] if page["count"] >= count else None

    tasks = eventually(look)
    assert tasks is not None
    return tasks


def test_tasks_are_accepted_processed_and_listed(example: Server) -> None:
    assert example.get("/tasks").json() == {"tasks": [], "count": 0}
    requests = [
        ("uppercase", {"text": "grüße"}, {"output": "GRÜSSE"}),
        ("sum", {"numbers": [1, 2.5, 3]}, {"output": 6.5}),
        ("dance", [1, {"a": None}], {"output": "processed"}),
    ]
    ids = [example.submit(action, data) for action, data, _ in requests]
    tasks = {task["id"]: task for task in listed(example, 3)}
    for id_, (action, data, result) in zip(ids, requests, strict=True):
        task = tasks[id_]
        assert (task["action"], task["data"], task["result"]) == (action, data, result)
        assert task["status"] == "completed"
    assert listed(example, 3)[0]["id"] == ids[-1], "newest first"


def test_the_list_is_filtered_by_status(example: Server) -> None:
    good = example.submit("sum", {"numbers": [1]})
    bad = example.submit("sum", {"numbers": ["x"]})
    listed(example, 2)
    assert [task["id"] for task in listed(example, 1, "?status=completed")] == [good]
    (failed,) = listed(example, 1, "?status=failed")
    assert failed["id"] == bad
    assert failed["result"]["error"].startswith("TypeError: ")
    assert example.get("/tasks?status=queued").json() == {"tasks": [], "count": 0}


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"action": 5}', b'{"action": ""}', b"\xff"])
def test_a_bad_body_is_refused(example: Server, body: bytes) -> None:
    answer = example.request("POST", "/tasks", body)
    assert answer.status == 400
    assert set(answer.json()) == {"error"}


def test_a_queue_far_smaller_than_the_load_loses_nothing(tmp_path: Path) -> None:
    arguments = [str(EXAMPLE), "-o", "app:queue_driver:max_length=8"]
    with serving(tmp_path, *arguments) as example:
        with ThreadPoolExecutor(16) as pool:
            ids = list(pool.map(lambda number: example.submit("sum", {"numbers": [number]}), range(100)))
        assert len(set(ids)) == 100
        assert {task["id"] for task in listed(example, 100)} == set(ids)
        assert example.terminate() == 0
        assert "ERROR" not in example.text()


def test_a_queue_that_refuses_says_so_and_loses_nothing_it_took(tmp_path: Path) -> None:
    arguments = [str(EXAMPLE), "-o", "app:queue_driver:max_length=3", "-o", "app:queue_driver:when_full=refuse",
                 "-o", "app:task_consumer:lifecycle.auto_start=false"]  # fmt: skip
    with serving(tmp_path, *arguments) as example:
        for number in range(3):
            example.submit("sum", {"numbers": [number]})
        assert example.request("POST", "/tasks", {"action": "sum"}).status == 503
        assert example.terminate() == 0


def test_stopping_ends_at_once_and_a_waiting_request_is_told(tmp_path: Path) -> None:
    arguments = [str(EXAMPLE), "-o", "app:queue_driver:max_length=1",
                 "-o", "app:task_consumer:lifecycle.auto_start=false",
                 "-o", "app:gateway:lifecycle.stop_timeout=1s"]  # fmt: skip
    with serving(tmp_path, *arguments) as example, ThreadPoolExecutor(1) as pool:
        example.submit("sum", {"numbers": [1]})
        waiting = pool.submit(example.request, "POST", "/tasks", {"action": "sum"})
        eventually(waiting.running)
        assert example.terminate(10) in (0, 1)
        assert waiting.exception(10) is not None or waiting.result().status >= 500
