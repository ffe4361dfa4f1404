"""Lists of tasks: filters, and pages that hold each task once however many arrive meanwhile."""

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from apps import application
from support import Server, serving

ACTIONS = """
@action(inline=True)
def good(number: int = 0) -> int:
    return number

@action(inline=True)
def bad(number: int = 0) -> int:
    raise ValueError(str(number))

@action(name="*", inline=True)
def other(data: Any, /) -> str:
    return "processed"
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[tuple[str, str]]]]:
    """A server with tasks of three actions, all ended: pairs of action and id, oldest first."""
    directory = tmp_path_factory.mktemp("paging")
    with serving(directory, directory=application(directory / "app", ACTIONS)) as server:
        names = ["good", "bad", "näme with spaces & signs"]
        tasks = [(names[n % 3], server.submit(names[n % 3], {"number": n})) for n in range(60)]
        for _, id_ in tasks:
            server.ended(id_)
        yield server, tasks


def walk(server: Server, query: str) -> list[str]:
    """Follow the cursors to the end."""
    found: list[str] = []
    cursor = ""
    for _ in range(10_000):
        page = server.get(f"/tasks?{query}{cursor}").json()
        assert page["count"] == len(page["tasks"])
        found += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            return found
        assert page["tasks"], "a page with a successor is never empty"
        cursor = f"&cursor={page['next']}"
    raise AssertionError("no last page")


@pytest.mark.parametrize("limit", [1, 7, 20, 59, 60, 61, 1000])
def test_pages_of_any_size_hold_everything_newest_first(
    filled: tuple[Server, list[tuple[str, str]]], limit: int
) -> None:
    server, tasks = filled
    assert walk(server, f"limit={limit}") == [id_ for _, id_ in reversed(tasks)]


@pytest.mark.parametrize("action", ["good", "bad", "näme with spaces & signs", "*", "nobody"])
@pytest.mark.parametrize("status", ["", "completed", "failed", "queued", "running"])
@pytest.mark.parametrize("limit", [3, 100])
def test_filters_and_pages_together(
    filled: tuple[Server, list[tuple[str, str]]], action: str, status: str, limit: int
) -> None:
    server, tasks = filled
    ends = {"good": "completed", "bad": "failed", "näme with spaces & signs": "completed"}
    expected = [id_ for name, id_ in reversed(tasks) if name == action and status in ("", ends[name])]
    query = f"limit={limit}&action={quote(action)}" + (f"&status={status}" if status else "")
    assert walk(server, query) == expected


def test_a_status_alone(filled: tuple[Server, list[tuple[str, str]]]) -> None:
    server, tasks = filled
    assert walk(server, "status=failed&limit=6") == [id_ for name, id_ in reversed(tasks) if name == "bad"]
    assert walk(server, "status=queued") == []


def test_without_a_limit_a_page_has_a_hundred(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for _ in range(101):
            server.submit("uppercase")
        assert len(server.get("/tasks").json()["tasks"]) == 100


def test_a_cursor_may_be_any_id(filled: tuple[Server, list[tuple[str, str]]]) -> None:
    server, tasks = filled
    oldest, newest = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
    assert server.get(f"/tasks?cursor={oldest}").json() == {"tasks": [], "count": 0, "next": None}
    page = server.get(f"/tasks?limit=60&cursor={newest}").json()
    assert [task["id"] for task in page["tasks"]] == [id_ for _, id_ in reversed(tasks)]


def test_a_walk_meets_each_task_once_while_new_ones_arrive(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        before = [server.submit("uppercase", {"text": str(n)}) for n in range(150)]
        done = threading.Event()

        def arrive() -> None:
            while not done.is_set():
                server.submit("uppercase", {"text": "new"})

        threads = [threading.Thread(target=arrive) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            found = walk(server, "limit=7")
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert len(found) == len(set(found))
        assert [id_ for id_ in found if id_ in set(before)] == before[::-1]
        assert sorted(found, reverse=True) == found
