"""Streams of events over real sockets: what they tell, where they go on, and that they leave nothing behind."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application, memory
from external import ENTRIES, Worker, declare
from streams import Event, Stream, told
from support import Server, eventually, serving
from wire import Wire

ACTIONS = """
import gc
from taskmill import current_task

@action(inline=True)
def quick() -> str:
    return "ran"

@action(max_attempts=2, backoff="50ms")
async def fails() -> None:
    current_task().log("about to fail")
    raise ValueError("no")

@action
async def counts(gate: str, first: int = 3) -> str:
    task = current_task()
    for number in range(first):
        task.progress(number, 10, "counting")
        task.log(f"line {number}")
        await asyncio.sleep(0.3)
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    task.log("the last line")
    return "counted"

@action(inline=True)
def chatters(lines: int) -> None:
    for number in range(lines):
        current_task().log(f"{number} " + "x" * 50)

@action(inline=True)
def watchers() -> int:
    return sum(type(one).__name__ in ("TaskWatcher", "AllWatcher") for one in gc.get_objects())
"""
UNKNOWN = "019ab000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = declare(application(tmp_path_factory.mktemp("app"), ACTIONS), ENTRIES)
    index = (made / "_index.yaml").read_text()
    assert "concurrency: 2" in index
    (made / "_index.yaml").write_text(index.replace("concurrency: 2", "concurrency: 8"))
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, app: Path) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("data"), str(app)) as server:
        yield server


def submit(server: Server, action: str, data: object = None, **options: Any) -> str:
    answer = server.request("POST", "/tasks", {"action": action, "data": data or {}, **options})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def watchers(server: Server) -> int:
    return int(server.ended(server.submit("watchers"))["result"]["output"])


def states(events: list[Event]) -> list[str]:
    return [str(one) for one in told(events, "status", "status")]


def test_a_task_is_told_from_what_it_is_now_to_its_end(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    id_ = submit(server, "counts", {"gate": str(gate)}, tags=["a"])
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        assert stream.status == 200
        assert "content-type: text/event-stream\r\n" in stream.head
        assert "cache-control: no-store\r\n" in stream.head
        events = stream.until("log", message="line 2")
        gate.touch()
        events += stream.rest()
    assert states(events)[-2:] == ["running", "completed"]
    assert told(events, "log", "message") == ["line 0", "line 1", "line 2", "the last line"]
    progress = told(events, "progress", "done")
    assert progress == sorted(progress)
    assert progress[-1] == 2
    assert events[-1].name == "status", "the end comes last"
    assert len({event.id for event in events}) == len(events)
    row = events[-1].data
    shown = server.get(f"/tasks/{id_}").json()
    assert row == {name: shown[name] for name in row}
    assert {"data", "result"}.isdisjoint(row)
    assert {"id", "action", "queue", "status", "attempt", "tags", "error"} <= row.keys()


def test_a_watched_task_that_waits_is_told_as_it_begins(server: Server) -> None:
    id_ = submit(server, "quick", delay=600)
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        assert stream.next().data["status"] == "scheduled"
        assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
        events = stream.rest()
    assert states(events) == ["cancelled"]


def test_retries_and_failures_are_told(server: Server) -> None:
    id_ = submit(server, "fails", delay=0.5)
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        events = stream.rest()
    assert states(events)[0] == "scheduled"
    assert states(events)[-1] == "failed"
    assert told(events, "log", "attempt") == [1, 2]
    assert events[-1].data["error"]["message"] == "no"


def test_a_task_that_has_ended_is_told_at_once_and_then_no_more(server: Server) -> None:
    id_ = submit(server, "chatters", {"lines": 5})
    server.ended(id_)
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        events = stream.rest()
    assert (len(told(events, "log", "message")), states(events)) == (5, ["completed"])
    with Stream(server.url, f"/tasks/{id_}/events", events[-1].id) as again:
        assert again.status == 204
        assert "content-length" not in again.head
    server.request("POST", f"/tasks/{id_}/cancel")


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5])
def test_a_stream_goes_on_after_any_event(server: Server, after: int) -> None:
    id_ = submit(server, "chatters", {"lines": 5})
    server.ended(id_)
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        whole = stream.rest()
    assert len(whole) == 6
    with Stream(server.url, f"/tasks/{id_}/events", whole[after].id) as stream:
        assert stream.status == (204 if after == 5 else 200)
        rest = stream.rest() if after < 5 else []
    assert rest == whole[after + 1 :]


def test_a_log_longer_than_its_limit_says_what_is_missing(server: Server) -> None:
    id_ = submit(server, "chatters", {"lines": 1_500})
    server.ended(id_)
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        lines = [event for event in stream.rest() if event.name == "log"]
    assert lines[0].data["dropped"] == 1_500 - len(lines)
    assert 900 < len(lines) <= 1_000
    assert all("dropped" not in line.data for line in lines[1:])


@pytest.mark.parametrize("last", ["x", "1.2.3", "1.running.x.1", "9" * 30 + ".a.1.1", "ü", ""])
def test_an_id_that_is_none_begins_anew(server: Server, last: str) -> None:
    id_ = submit(server, "quick")
    server.ended(id_)
    with Stream(server.url, f"/tasks/{id_}/events", last) as stream:
        assert states(stream.rest()) == ["completed"]


def test_no_task_no_stream(server: Server) -> None:
    for id_ in (UNKNOWN, "x"):
        answer = server.get(f"/tasks/{id_}/events")
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert server.get(f"/tasks/{UNKNOWN}/events?x=1").status == 400
    assert server.get("/events?color=red").status == 400
    assert server.get("/events?batch=x").json()["errors"][0]["path"] == "batch"
    assert server.get("/events?status=lost").json()["errors"][0]["path"] == "status"
    assert server.request("POST", "/events").status == 405
    assert server.get(f"/tasks/%30{UNKNOWN[1:]}/events").status == 503, "the long way has no streams"


def test_a_connection_goes_on_after_a_refusal(server: Server) -> None:
    with Wire(server.url) as wire:
        for _ in range(2):
            wire.send(f"GET /tasks/{UNKNOWN}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert wire.reply().status == 404


def test_all_tasks_are_told_and_filters_choose(server: Server, tmp_path: Path) -> None:
    with (
        Stream(server.url, "/events") as everything,
        Stream(server.url, "/events?action=fails&status=failed") as failures,
        Stream(server.url, "/events?tag=blue") as blue,
        Stream(server.url, "/events?queue=images") as images,
    ):
        made = server.request("POST", "/batches", {"tasks": [{"action": "quick", "delay": 2}] * 2}).json()
        with Stream(server.url, f"/events?batch={made['id'].upper()}") as members:
            submit(server, "quick")
            ended = set()
            while len(ended) < 2:
                ended.add(members.until("status", status="completed")[-1].data["id"])
            assert ended == set(made["ids"])
        id_ = submit(server, "quick", tags=["blue", "x"])
        events = everything.until("status", id=id_, status="completed")
        assert {one.data["id"] for one in blue.until("status", status="completed")} == {id_}
        assert states([one for one in events if one.data["id"] == id_])[-1] == "completed"
        failed = submit(server, "fails")
        *_, only = failures.until("status")
        assert (only.data["id"], only.data["status"]) == (failed, "failed")
        worker = Worker(server)
        outside = submit(server, "crop", {"x": 1})
        (task,) = worker.claim()
        assert worker.say("heartbeat", task, progress={"done": 1, "total": 2}, log=["seen"]) == 200
        assert worker.say("complete", task) == 200
        worker.close()
        events = images.until("status", status="completed")
        assert {event.data["id"] for event in events} == {outside}
        assert told(events, "progress", "done") == [1]
        assert told(events, "log", "message") == ["seen"]


def test_what_was_missed_of_all_tasks_is_told_again(server: Server) -> None:
    with Stream(server.url, "/events") as stream:
        first = submit(server, "quick")
        stream.until("status", id=first, status="completed")
        last = stream.last
    missed = [submit(server, "quick") for _ in range(20)]
    for id_ in missed:
        server.ended(id_)
    with Stream(server.url, "/events", last) as stream:
        ended: dict[str, None] = {}
        while len(ended) < len(missed):
            event = stream.next()
            assert event.name != "reset"
            assert event.data["id"] in missed, "nothing is told twice"
            if event.data["status"] == "completed":
                assert event.data["id"] not in ended
                ended[event.data["id"]] = None
        assert list(ended) == missed


def test_where_events_are_missing_a_reset_says_so(server: Server) -> None:
    for last in ("0123456789ab-7", "nonsense"):
        with Stream(server.url, "/events", last) as stream:
            event = stream.next()
            assert (event.name, set(event.data)) == ("reset", {"reason"})
            id_ = submit(server, "quick")
            assert stream.until("status", id=id_, status="completed")


def test_too_much_at_once_is_a_reset(server: Server) -> None:
    with Stream(server.url, "/events") as stream:
        lines = b'{"action":"quick","delay":600}\n' * 5_000
        headers = {"Content-Type": "application/x-ndjson"}
        assert server.request("POST", "/tasks/bulk", lines, headers, timeout=60).status == 200
        while stream.next().name != "reset":
            pass
        id_ = submit(server, "quick")
        stream.until("status", id=id_, status="completed")


def test_streams_leave_nothing_behind(server: Server) -> None:
    eventually(lambda: watchers(server) == 0, 30)
    id_ = submit(server, "quick", delay=600)
    open_ = [Stream(server.url, path) for path in 10 * (f"/tasks/{id_}/events", "/events")]
    for stream in open_[::2]:
        assert stream.next().data["status"] == "scheduled"
    assert watchers(server) == 20
    for stream in open_:
        stream.wire.socket.close()
    eventually(lambda: watchers(server) == 0, 30)


def test_a_task_that_is_pruned_ends_its_streams(server: Server) -> None:
    id_ = submit(server, "quick", delay=600)
    with Stream(server.url, f"/tasks/{id_}/events") as stream:
        stream.next()
        server.request("POST", f"/tasks/{id_}/cancel")
        assert states(stream.rest()) == ["cancelled"]
    assert (
        server.request(
            "POST", "/tasks/prune", {"status": "cancelled", "before": "2099-01-01T00:00:00Z"}
        ).status
        == 200
    )
    assert server.get(f"/tasks/{id_}/events").status == 410


def test_who_does_not_read_is_cut_off(server: Server) -> None:
    """Their streams are longer than what a server keeps for anybody; whoever reads gets all of it."""
    id_ = submit(server, "chatters", {"lines": 1_000})
    server.ended(id_)
    before = memory(server.process.pid)
    with Stream(server.url, "/events") as reader:
        deaf = []
        for _ in range(50):
            wire = Wire(server.url, 60, receive_buffer=4_096)
            wire.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            deaf.append(wire)
        eventually(lambda: watchers(server) == 51, 30)
        end = time.monotonic() + 60
        rounds = 0
        while watchers(server) > 1 and time.monotonic() < end:
            chatter = submit(server, "chatters", {"lines": 900})
            reader.until("status", id=chatter, status="completed")
            rounds += 1
        assert watchers(server) == 1, "the one who reads"
        grown = memory(server.process.pid) - before
        assert grown < 50 * 2**20, f"{grown:,} bytes after {rounds} rounds"
        for wire in deaf:
            wire.socket.close()
        quick = submit(server, "quick")
        reader.until("status", id=quick, status="completed")


@pytest.mark.long  # up to a quarter of a minute
def test_a_heartbeat_shows_that_it_is_alive(server: Server) -> None:
    id_ = submit(server, "quick", delay=600)
    with Stream(server.url, f"/tasks/{id_}/events", timeout=40) as stream:
        stream.next()
        assert stream.wire.until(b":\n\n").endswith(b":\n\n")


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_stream_goes_on_after_a_restart(tmp_path: Path, app: Path, how: str) -> None:
    gate = tmp_path / "gate"
    with serving(tmp_path, str(app)) as server:
        id_ = submit(server, "counts", {"gate": str(gate), "first": 2})
        stream = Stream(server.url, f"/tasks/{id_}/events")
        everything = Stream(server.url, "/events")
        before = stream.until("log", message="line 1")
        everything.until("log", message="line 1")
        if how == "killed":
            server.kill()
        else:
            server.process.send_signal(signal.SIGTERM)
            everything.rest()
            before += stream.rest()
            assert server.process.poll() is None, "the drain ends them before what runs has ended"
            server.kill()
        for one in (stream, everything):
            one.wire.socket.close()
    with serving(tmp_path, str(app)) as server:
        with Stream(server.url, f"/tasks/{id_}/events", stream.last) as again:
            gate.touch()
            after = again.rest()
        assert states(after)[-1] == "completed"
        lines = told(before + after, "log", "message")
        # The attempt that the end of the server broke off has said its lines, and the next one says them again.
        assert lines == ["line 0", "line 1", "line 0", "line 1", "the last line"]
        logged = server.get(f"/tasks/{id_}/log").json()["lines"]
        assert [line["message"] for line in logged] == lines
        with Stream(server.url, "/events", everything.last) as all_again:
            assert all_again.next().name == "reset"
        assert json.loads(server.get(f"/tasks/{id_}").body)["progress"]["done"] == 1
