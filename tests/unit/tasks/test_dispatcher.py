"""The dispatcher's races, one by one: commits, reads and acks in the orders that once could lose or double a task."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dispatching import Stage

from taskmill.tasks.dispatch import window

ONE_ACTION = """
from taskmill import action

@action(inline=True)
def known() -> None:
    pass
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


def delivered(stage: Stage) -> list[bytes]:
    return [message.key for message in stage.hand.delivered]


def finish_all(stage: Stage, count: int) -> None:
    """Take and finish until so many have been delivered in this run, and all are finished."""
    stage.allow(1000)
    for _ in range(count + 1):
        stage.settle()
        stage.finish(1000)
    stage.settle()
    assert len(delivered(stage)) == count
    assert stage.channel.length() == 0


def test_a_read_that_has_seen_a_commit_ends_after_its_report(stage: Stage) -> None:
    stage.begin(4)
    keys = stage.submit("a", ["1"] * 5)
    stage.settle()
    stage.hold_reports()
    keys += stage.submit("a", ["1"] * 2)
    stage.settle()
    stage.allow(4)
    stage.call(stage.dispatcher.feed)
    stage.settle()  # the read finds three rows, two of which nobody was told of
    assert delivered(stage) == keys[:4]
    assert stage.reader.held_back == 1
    stage.report()
    finish_all(stage, 7)
    assert delivered(stage) == keys


def test_what_is_committed_while_a_read_is_under_way_is_not_skipped(stage: Stage) -> None:
    stage.begin(2)
    keys = stage.submit("a", ["1"] * 3)
    stage.settle()
    stage.reader.open.clear()
    stage.allow(2)
    stage.call(stage.dispatcher.feed)
    stage.settle()
    assert stage.reader.held_back == 1
    keys += stage.submit("a", ["1"] * 2)
    stage.settle()
    stage.reader.open.set()
    finish_all(stage, 5)
    assert delivered(stage) == keys


def test_a_read_brings_no_more_into_memory_than_there_is_room_for(stage: Stage) -> None:
    stage.begin(100, max_bytes=1000)
    keys = stage.submit("a", ["1" * 300] * 4)
    stage.settle()
    keys += stage.submit("a", ["1" * 300] * 20)
    stage.settle()
    assert stage.reader.read_bytes == 0, "what has come at once waits already"
    stage.allow(1)
    for done in range(1, 25):
        assert delivered(stage) == keys[:done]
        stage.finish(1)
        stage.settle()
    assert 0 < stage.reader.read_bytes <= 1200


def test_a_body_larger_than_the_window_passes_alone(stage: Stage) -> None:
    stage.begin(10, max_bytes=100)
    keys = []
    for body in ("1", "2" * 500, "3", "4" * 500, "5"):
        keys += stage.submit("a", [body])
        stage.settle()
    finish_all(stage, 5)
    assert delivered(stage) == keys


def test_a_full_window_waits_for_a_consumer_instead_of_reading_again(stage: Stage) -> None:
    stage.begin(10, max_bytes=100)
    keys = stage.submit("a", ["1" * 120])
    stage.settle()
    keys += stage.submit("a", ["2" * 70, "3"])
    stage.settle()
    assert stage.reader.reads == 0
    assert stage.reader.read_bytes == 0
    finish_all(stage, 3)
    assert delivered(stage) == keys


def test_a_read_that_fails_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "READ_PAUSE", 0.001)
    stage.begin(1)
    stage.reader.failures = 3
    keys = stage.submit("a", ["1"] * 4)
    stage.allow(10)
    for done in range(1, 5):
        while len(delivered(stage)) < done:
            stage.settle()
        stage.finish(1)
    finish_all(stage, 4)
    assert delivered(stage) == keys


def test_F21_tasks_of_an_unknown_action_stay_rows_and_block_nothing(tmp_path: Path) -> None:
    (tmp_path / "actions.py").write_text(ONE_ACTION)
    stage = Stage(tmp_path, actions=tmp_path)
    stage.begin(2)
    stage.submit("known", ["{}"] * 5)
    stage.settle()
    stage.end(kill=False)
    stage.write("UPDATE task SET action = 'gone', status = iif(id = (SELECT min(id) FROM task), 2, 0)")
    stage.begin(2)
    new = stage.submit("known", ["{}"] * 3)
    finish_all(stage, 3)
    assert delivered(stage) == new
    assert sorted(stage.statuses().values()) == [0, 0, 0, 0, 2, 3, 3, 3]
    stage.close()


def test_what_a_killed_run_had_under_way_is_suspect_and_nothing_else_is(stage: Stage) -> None:
    stage.begin(3)
    keys = stage.submit("a", ["1"] * 8)
    stage.allow(3)
    stage.settle()
    stage.note(2)
    stage.end(kill=True)
    stage.begin(3, killed=True)
    finish_all(stage, 8)
    assert delivered(stage) == keys
    assert [message.suspect for message in stage.hand.delivered] == [True] * 5 + [False] * 3
    assert [message.attempts for message in stage.hand.delivered] == [1] * 2 + [0] * 6


def test_a_clean_stop_takes_the_attempt_back_and_leaves_no_suspect(stage: Stage) -> None:
    stage.begin(3)
    keys = stage.submit("a", ["1"] * 4)
    stage.allow(2)
    stage.settle()
    stage.note(2)
    stage.end(kill=False)
    stage.begin(3)
    finish_all(stage, 4)
    assert delivered(stage) == keys
    assert not any(message.suspect or message.attempts for message in stage.hand.delivered)


def test_more_running_tasks_than_the_window_holds_all_come_before_the_queued_ones(stage: Stage) -> None:
    stage.begin(6)
    keys = stage.submit("a", ["1"] * 9)
    stage.allow(6)
    stage.settle()
    stage.note(6)
    stage.end(kill=True)
    stage.begin(2, killed=True)
    later = stage.submit("a", ["1"] * 2)
    finish_all(stage, 11)
    assert delivered(stage) == keys + later
