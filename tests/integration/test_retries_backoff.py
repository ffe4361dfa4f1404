"""How long a task rests between its attempts: just as its action says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from submitting import between, look, submit, until
from support import Server, serving

MOMENT = 1.5  # seconds by which a loaded machine may be late
ACTIONS = """
@action(inline=True)
def by_default() -> None:
    raise ValueError("no good")

@action(inline=True, backoff=["50ms", "1m", "7m"], max_attempts=5)
def listed() -> None:
    raise ValueError("no good")

@action(inline=True, backoff="90s")
def fixed() -> None:
    raise ValueError("no good")

@action(inline=True, backoff=0, max_attempts=4)
def at_once() -> None:
    raise ValueError("no good")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def rests(server: Server, id_: str, attempt: int) -> float:
    """Wait for the end of a failed attempt; return the rest until the next."""
    task = until(server, id_, "scheduled", attempt)
    return between(task["attempts"][attempt - 1]["ended_at"], task["run_at"])


def test_three_attempts_unless_told_otherwise(server: Server) -> None:
    task = look(server, submit(server, "by_default"))
    assert task["max_attempts"] == 3
    assert look(server, submit(server, "by_default", max_attempts=7))["max_attempts"] == 7
    once = server.ended(submit(server, "by_default", max_attempts=1))
    assert (once["status"], once["attempt"], once["error"]["type"]) == ("failed", 1, "ValueError")


def test_a_list_is_taken_exactly_and_its_last_rest_again_and_again(server: Server) -> None:
    id_ = submit(server, "listed")
    assert 60 <= rests(server, id_, 2) <= 60 + MOMENT
    first, second = look(server, id_)["attempts"]
    assert 0.05 <= between(first["ended_at"], second["started_at"]) < 5
    from taskmill.tasks.actions.retrying import Backoff

    backoff = Backoff.of(["50ms", "1m", "7m"])
    assert [backoff.rest(attempt) for attempt in range(1, 6)] == [0.05, 60, 420, 420, 420]


def test_a_duration_is_the_rest_after_each_attempt(server: Server) -> None:
    assert 90 <= rests(server, submit(server, "fixed"), 1) <= 90 + MOMENT


def test_exponential_rests_are_random_below_a_bound_that_doubles(server: Server) -> None:
    ids = [submit(server, "by_default") for _ in range(20)]
    first = [rests(server, id_, 1) for id_ in ids]
    assert all(0 <= rest <= 1 + MOMENT for rest in first)
    assert len({round(rest, 3) for rest in first}) > 10, "full jitter: no two alike, or few"
    ended = [server.ended(id_) for id_ in ids]
    for task in ended:
        assert (task["status"], task["attempt"]) == ("failed", 3)
        one, two, three = task["attempts"]
        assert between(one["ended_at"], two["started_at"]) < 1 + 5
        assert between(two["ended_at"], three["started_at"]) < 2 + 5


def test_no_rest_is_a_rest_too(server: Server) -> None:
    task = server.ended(submit(server, "at_once"))
    assert (task["status"], task["attempt"]) == ("failed", 4)
    assert [attempt["attempt"] for attempt in task["attempts"]] == [1, 2, 3, 4]


def test_a_rest_outlives_a_restart(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as first:
        id_ = submit(first, "listed")
        before = until(first, id_, "scheduled", 2)
        first.kill()
    with serving(tmp_path, directory=tmp_path) as second:
        assert look(second, id_) == before
