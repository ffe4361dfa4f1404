"""Limits are never exceeded, hold nobody else up, and let everybody through in the end, in order."""

from pathlib import Path
from typing import Any

import pytest
from apps import memory
from lines import Recording, Span, fill, hold, most_at_once, most_in_window, recording, rows
from support import Server, eventually

MIB = 2**20
JITTER = 0.1  # seconds between an attempt's start and the action's own note of it, on a busy machine
WIDE = ("-o", "app:task_consumer:concurrency=20")

ACTIONS = """
@action(concurrency=3)
async def on_loop(label: str = "") -> None:
    await take(0.02, label)

@action(concurrency=2)
def isolated(label: str = "") -> None:
    note("start", label)
    time.sleep(0.05)
    note("stop", label)

@action(concurrency=1, inline=True)
def at_once(label: str = "") -> None:
    note("start", label)
    note("stop", label)

@action(rate_limit="20/s")
async def rated_on_loop(label: str = "") -> None:
    await take(0.001, label)

@action(rate_limit="20/s")
def rated_isolated(label: str = "") -> None:
    note("start", label)
    note("stop", label)

@action(rate_limit="20/s", inline=True)
def rated_at_once(label: str = "") -> None:
    note("start", label)
    note("stop", label)

@action(rate_limit="4/2s", concurrency=2)
async def both(label: str = "") -> None:
    await take(0.2, label)

@action(concurrency=1, concurrency_key="data.label")
async def keyed(label: str) -> None:
    await take(0.01, label)

@action(rate_limit="5/3s")
async def five(label: str = "") -> None:
    await take(0, label)

@action(rate_limit="6/s", backoff=0, max_attempts=3)
async def again(label: str = "") -> None:
    note("start", label)
    note("stop", label)
    raise ValueError("again")

@action(concurrency=1)
async def stuck(label: str = "stuck") -> None:
    await take(1000, label)

@action(concurrency=1, over_limit="drop_newest")
async def dropping(label: str = "") -> None:
    await take(0.5, label)

@action(rate_limit="2/s", over_limit="drop_newest")
async def dropping_rate(label: str = "") -> None:
    await take(0, label)

@action(concurrency=1, concurrency_key="data.label", over_limit="cancel_running")
async def replacing(label: str, number: int) -> None:
    await take(0.5, label)

@action
async def free(label: str = "free") -> None:
    await take(0, label)
"""

pytestmark = pytest.mark.timeout(180)


def bodies(action: str, count: int) -> list[dict[str, Any]]:
    return [{"action": action, "data": {"label": str(number)}} for number in range(count)]


def all_started(record: Recording, count: int, timeout: float = 60) -> list[Span]:
    """Wait until so many runs have started and stopped, and return them."""
    eventually(lambda: sum(span.stop != float("inf") for span in record.starts()) == count, timeout)
    return record.starts()


def statuses(server: Server, ids: list[str]) -> list[str]:
    return [server.get(f"/tasks/{id_}").json()["status"] for id_ in ids]


@pytest.mark.parametrize(
    ("action", "limit", "count"), [("on_loop", 3, 150), ("isolated", 2, 40), ("at_once", 1, 150)]
)
def test_no_more_run_at_once_and_all_do_in_their_order(
    tmp_path: Path, action: str, limit: int, count: int
) -> None:
    with recording(tmp_path, ACTIONS, *WIDE, "-o", "app:processes:workers=4") as (server, record):
        ids = fill(server.url, bodies(action, count), connections=1)
        spans = all_started(record, count)
        assert most_at_once(spans) == limit
        assert [span.id for span in sorted(spans, key=lambda span: span.start)] == ids or action == "isolated"
        assert sorted(span.id for span in spans) == sorted(ids)
        assert server.terminate() == 0


@pytest.mark.parametrize("action", ["rated_on_loop", "rated_isolated", "rated_at_once"])
def test_no_more_start_in_any_window(tmp_path: Path, action: str) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        ids = fill(server.url, bodies(action, 70), connections=1)
        spans = all_started(record, 70)
        assert most_in_window(spans, 1 - JITTER) <= 20
        assert spans[-1].start - spans[0].start < 10, "four windows, and some time to spare"
        if action != "rated_isolated":
            assert [span.id for span in spans] == ids
        assert server.terminate() == 0


def test_a_rate_counts_when_tasks_start_and_not_when_they_are_handed_out(tmp_path: Path) -> None:
    """Five are in the consumer's reserve for longer than the window: they start, and five more at once with them."""
    with recording(tmp_path, ACTIONS, "-o", "app:task_consumer:concurrency=1") as (server, record):
        fill(server.url, [{"action": "block"}])
        eventually(lambda: record.labels() == ["block"])
        fill(server.url, bodies("five", 10), connections=1)
        began = server.get("/healthz")
        assert began.status == 200
        fill(server.url, [{"action": "free"}])
        five_later(server)
        record.release()
        eventually(lambda: sum(label.isdigit() for label in record.labels()) == 10, 30)
        spans = [span for span in record.starts() if span.label.isdigit()]
        assert most_in_window(spans, 3 - JITTER) <= 5


def five_later(server: Server) -> None:
    """Wait for longer than the window of `five`."""
    id_ = server.request("POST", "/tasks", {"action": "free", "delay": 3.3, "queue": "tasks"}).json()["id"]
    eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] != "scheduled", 30)


def test_a_rate_and_a_concurrency_hold_together(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        fill(server.url, bodies("both", 12), connections=1)
        spans = all_started(record, 12)
        assert most_at_once(spans) == 2
        assert most_in_window(spans, 2 - JITTER) <= 4
        assert server.terminate() == 0


def test_each_attempt_counts_against_a_rate(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        fill(server.url, bodies("again", 8))
        spans = all_started(record, 24)
        assert most_in_window(spans, 1 - JITTER) <= 6
        assert server.terminate() == 0


def test_each_key_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        fill(server.url, [{"action": "keyed", "data": {"label": label}} for label in "abcd" * 40])
        spans = all_started(record, 160)
        for label in "abcd":
            assert most_at_once([span for span in spans if span.label == label]) == 1
        assert most_at_once(spans) > 2
        assert server.terminate() == 0


def test_thousands_over_a_limit_hold_nobody_up_and_cost_no_memory(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        fill(server.url, [{"action": "stuck"}])
        eventually(lambda: record.labels() == ["stuck"])
        fill(server.url, [{"action": "stuck", "data": {"label": "x" * 50}}] * 1000)
        before = memory(server.process.pid)
        fill(server.url, [{"action": "stuck", "data": {"label": "x" * 50}}] * 5000)
        assert memory(server.process.pid) - before < 12 * MIB, "SQLite's own caches grow, and little else"
        fill(server.url, bodies("free", 20))
        eventually(lambda: len(record.starts()) == 21)
        assert record.labels()[0] == "stuck"


def test_thousands_over_a_limit_all_get_through_in_their_order_also_after_a_kill(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        ids = fill(server.url, bodies("on_loop", 1500), connections=1)
        eventually(lambda: len(record.starts()) > 300, 60)
        server.kill()
    killed = record.starts()
    unfinished = {span.id for span in killed if span.stop == float("inf")}
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        eventually(lambda: len({span.id for span in record.starts()}) == 1500, 60)
        second = record.starts()[len(killed) :]
        waiting = "/tasks?status=queued&limit=1"
        eventually(lambda: server.get(waiting).json()["count"] == 0)
        assert server.terminate() == 0
    assert most_at_once(second) == 3
    assert most_at_once([span for span in killed if span.stop != float("inf")]) <= 3
    assert len(unfinished) <= 3
    order = [ids.index(span.id) for span in second]
    fresh = [place for place in order if place > max(ids.index(span.id) for span in killed)]
    assert fresh == sorted(fresh)
    assert {status for (status,) in rows(tmp_path, "SELECT status FROM task")} == {3}


@pytest.mark.parametrize("early", [False, True])
def test_a_rate_holds_over_a_kill(tmp_path: Path, early: bool) -> None:
    """Also right after the first starts, whose ends are not stored yet."""
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        fill(server.url, bodies("five", 12))
        eventually(lambda: len(record.starts()) >= (1 if early else 5))
        server.kill()
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        eventually(lambda: len({span.id for span in record.starts()}) == 12, 60)
        assert most_in_window(record.starts(), 3 - JITTER) <= 5
        assert server.terminate() == 0


def test_what_comes_while_one_runs_is_dropped(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        first = fill(server.url, bodies("dropping", 1))[0]
        eventually(lambda: len(record.starts()) == 1)
        others = fill(server.url, bodies("dropping", 5))
        for id_ in others:
            task = server.ended(id_)
            assert (task["status"], task["error"]["type"]) == ("cancelled", "limit")
        assert server.ended(first)["status"] == "completed"
        later = fill(server.url, bodies("dropping", 1))[0]
        assert server.ended(later)["status"] == "completed"
        assert len(record.starts()) == 2
        assert server.terminate() == 0


def test_a_rate_drops_as_well_from_the_first_burst_on(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        ids = fill(server.url, bodies("dropping_rate", 12))
        ended = [server.ended(id_)["status"] for id_ in ids]
        spans = record.starts()
        assert ended.count("completed") == len(spans)
        assert 2 <= len(spans) < 8, "fewer than all, however slow their submission was"
        assert ended.count("cancelled") == 12 - len(spans)
        assert most_in_window(spans, 1 - JITTER) <= 2
        assert server.terminate() == 0


def test_the_newest_takes_the_place_of_what_runs_and_waits(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        sent = [{"action": "replacing", "data": {"label": "a", "number": number}} for number in range(6)]
        other = fill(server.url, [{"action": "replacing", "data": {"label": "b", "number": 0}}])[0]
        first = fill(server.url, sent[:1])
        eventually(lambda: record.labels().count("a") == 1)
        ids = first + fill(server.url, sent[1:], connections=1)
        tasks = [server.ended(id_) for id_ in ids]
        assert [task["status"] for task in tasks] == ["cancelled"] * 5 + ["completed"]
        assert {task["error"]["type"] for task in tasks[:5]} == {"limit"}
        assert server.ended(other)["status"] == "completed", "another key is another matter"
        assert most_at_once([span for span in record.starts() if span.label == "a"]) == 1
        assert server.terminate() == 0


def test_cancelling_what_waits_lets_the_next_one_through(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        hold(server, record)
        ids = fill(server.url, bodies("on_loop", 250), connections=1)
        for id_ in ids[:240]:
            assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
        record.release()
        assert [server.ended(id_)["status"] for id_ in ids[240:]] == ["completed"] * 10
        assert set(statuses(server, ids[:240])) == {"cancelled"}
        assert server.terminate() == 0


def test_a_limit_holds_for_tasks_that_were_submitted_before_it_was_declared(tmp_path: Path) -> None:
    idle = ("-o", "app:task_consumer:lifecycle.auto_start=false")
    before = ACTIONS.replace("@action(concurrency=3)", "@action").replace(
        '@action(concurrency=1, concurrency_key="data.label")', "@action"
    )
    with recording(tmp_path, before, *idle) as (server, _):
        plain = fill(server.url, bodies("on_loop", 300), connections=1)
        ranked = fill(server.url, [{**one, "priority": 5} for one in bodies("on_loop", 150)], connections=1)
        later = fill(server.url, [{**one, "delay": 3} for one in bodies("on_loop", 20)])
        fill(server.url, [{"action": "keyed", "data": {"label": label}} for label in "ab" * 20])
        server.kill()
    with recording(tmp_path, ACTIONS, *WIDE) as (server, record):
        spans = all_started(record, 300 + 150 + 20 + 40)
        limited = [span for span in spans if span.label not in "ab"]
        assert most_at_once(limited) == 3
        assert most_at_once([span for span in spans if span.label == "a"]) == 1
        started = [span.id for span in limited if span.id not in later]
        assert started[3:] == [*ranked, *plain][3:], "what was submitted first, by priority"
        assert server.terminate() == 0
