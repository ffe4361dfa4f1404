"""The filters of `GET /tasks`, each alone and together, against what a plain look at all tasks says."""

import itertools
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from queues_apart import with_mail
from support import Server, serving

ACTIONS = """
@action(inline=True, max_attempts=1)
def good(number: int = 0) -> int:
    return number

@action(inline=True, max_attempts=1)
def bad(number: int = 0) -> int:
    raise ValueError(str(number))
"""
TASKS = 90


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[dict[str, Any]]]]:
    """A server with tasks of every sort, all at rest: newest first."""
    directory = tmp_path_factory.mktemp("filters")
    chance = random.Random(4)
    with serving(directory, directory=with_mail(directory / "app", ACTIONS)) as server:
        ids = []
        for number in range(TASKS):
            body: dict[str, Any] = {"action": chance.choice(["good", "bad"]), "data": {"number": number}}
            if number % 3:
                body["queue"] = chance.choice(["tasks", "mail"])
                body["tags"] = chance.sample(["red", 'b"lue', ",", "grün"], chance.randrange(3))
                if chance.random() < 0.5:
                    body["key"] = f"key {number % 7}"
                if chance.random() < 0.3:
                    body["delay"] = 3600
            answer = server.request("POST", "/tasks", body)
            assert answer.status == 202, answer.body
            if not answer.json().get("duplicate"):
                ids.append((answer.json()["id"], body.get("delay")))
        tasks = [server.get(f"/tasks/{id_}").json() if delay else server.ended(id_) for id_, delay in ids]
        yield server, tasks[::-1]


def meant(task: dict[str, Any], filters: dict[str, str]) -> bool:
    """Say whether a task passes, from the words of the contract."""
    for name, value in filters.items():
        if name == "tag":
            passes = value in task["tags"]
        elif name == "created_after":
            passes = task["created_at"] >= value
        elif name == "created_before":
            passes = task["created_at"] < value
        else:
            passes = task[name] == value
        if not passes:
            return False
    return True


def walk(server: Server, filters: dict[str, str], limit: int) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(1_000):
        answer = server.get("/tasks?" + urlencode({**filters, "limit": limit, **cursor}))
        assert answer.status == 200, answer.body
        page = answer.json()
        assert page["count"] == len(page["tasks"]) <= limit
        found += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}
    raise AssertionError("no last page")


def test_every_filter_and_every_two_of_them(filled: tuple[Server, list[dict[str, Any]]]) -> None:
    server, tasks = filled
    middle = tasks[len(tasks) // 2]["created_at"]
    values = {
        "status": ["completed", "failed", "scheduled", "cancelled"],
        "action": ["good", "nobody"],
        "queue": ["tasks", "mail", "none"],
        "key": ["key 1", "key 5", "no key"],
        "tag": ["red", 'b"lue', ",", "grün", "blue"],
        "created_after": [middle],
        "created_before": [middle],
    }
    alone = [{name: value} for name, some in values.items() for value in some]
    pairs = [
        {**one, **other} for one, other in itertools.combinations(alone, 2) if not one.keys() & other.keys()
    ]
    hits = 0
    for filters in [*alone, *pairs]:
        expected = [task["id"] for task in tasks if meant(task, filters)]
        assert walk(server, filters, 1000) == expected, filters
        hits += bool(expected)
    assert hits > len(pairs) // 3, "the test's tasks are too much alike"


def test_all_filters_at_once_in_small_pages(filled: tuple[Server, list[dict[str, Any]]]) -> None:
    server, tasks = filled
    task = next(task for task in tasks if task["key"] and task["tags"] and task["queue"] == "mail")
    filters = {
        "status": task["status"], "action": task["action"], "queue": "mail", "key": task["key"],
        "tag": task["tags"][0], "created_after": task["created_at"], "created_before": "2999-01-01T00:00:00Z",
    }  # fmt: skip
    expected = [one["id"] for one in tasks if meant(one, filters)]
    assert task["id"] in expected
    assert walk(server, filters, 1) == expected


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_of_a_filter_that_no_index_knows(
    filled: tuple[Server, list[dict[str, Any]]], limit: int
) -> None:
    server, tasks = filled
    assert walk(server, {"queue": "mail"}, limit) == [one["id"] for one in tasks if one["queue"] == "mail"]


@pytest.mark.parametrize(
    ("query", "path", "said"),
    [
        ("status=complete", "status", "did you mean `completed`?"),
        ("created_after=yesterday", "created_after", "RFC 3339"),
        ("created_before=2026-01-02T03:04:05", "created_before", "with a zone"),
        ("created_before=1767322800", "created_before", "RFC 3339"),
        ("key=", "key", "length >= 1"),
        ("tags=red", "tags", "did you mean `tag`?"),
        ("queue=a&queue=b", "queue", "given twice"),
    ],
)
def test_what_means_nothing_is_refused(
    filled: tuple[Server, list[dict[str, Any]]], query: str, path: str, said: str
) -> None:
    answer = filled[0].get(f"/tasks?{query}")
    assert answer.status == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == path
    assert said in error["message"]
