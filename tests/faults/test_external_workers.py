"""Workers outside that are frozen and killed, and servers that are killed under them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apps import application
from external import ACTIONS, Worker, declare
from streams import Stream
from support import Server, eventually, serving

SCRIPT = Path(__file__).with_name("outside_worker.py")

pytestmark = pytest.mark.timeout(120)


class Outside:
    """A worker process that has claimed a task."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout
        assert process.stdin
        self._out, self._in = process.stdout, process.stdin
        self.task: Any = json.loads(self._out.readline())

    def go_on(self) -> None:
        """Have it complete its task."""
        self._in.write("\n")
        self._in.flush()

    def answer(self) -> Any:
        """What it was answered."""
        return json.loads(self._out.readline())

    def status(self) -> int:
        """The status of what it was answered."""
        return int(self.answer())


@contextmanager
def outside(server: Server, name: str, lease: float, *limit: str) -> Iterator[Outside]:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), server.url, name, str(lease), *limit],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Outside(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return declare(application(tmp_path / "app", ACTIONS))


def test_f13_a_worker_frozen_beyond_its_lease_is_refused(tmp_path: Path, app: Path) -> None:
    with serving(tmp_path, str(app)) as server:
        id_ = server.submit("resize", {"url": "x"})
        with outside(server, "frozen", 1.0) as frozen:
            frozen.process.send_signal(signal.SIGSTOP)
            with outside(server, "other", 30.0) as other:  # waits until the lease has run out
                assert (other.task["id"], other.task["attempt"]) == (id_, 2)
                other.go_on()
                assert other.status() == 200
            first_read = server.get(f"/tasks/{id_}").json()
            frozen.process.send_signal(signal.SIGCONT)
            frozen.go_on()
            assert frozen.status() == 409
        assert server.get(f"/tasks/{id_}").json() == first_read
        assert (first_read["status"], first_read["result"]) == ("completed", {"output": "other"})


def test_F13_a_batch_of_a_frozen_worker_is_refused_as_a_whole_and_nobody_is_told(
    tmp_path: Path, app: Path
) -> None:
    """Late progress, log lines and results change nothing, and no stream tells of them."""
    with (
        serving(tmp_path, str(app)) as server,
        Stream(server.url, "/events?queue=images", timeout=60) as stream,
    ):
        lines = b"".join(b'{"action": "resize", "data": {"url": "%d"}}\n' % number for number in range(20))
        answer = server.request("POST", "/tasks/bulk", lines, {"Content-Type": "application/x-ndjson"})
        ids = {json.loads(line)["id"] for line in answer.body.splitlines()}
        with outside(server, "frozen", 1.0, "20") as frozen:
            held = {task["id"] for task in frozen.task}
            assert held <= ids
            frozen.process.send_signal(signal.SIGSTOP)
            for id_ in held:  # they wait for their second attempt, once the lease has run out
                eventually(lambda id_=id_: server.get(f"/tasks/{id_}").json()["attempts"], 30)  # type: ignore[misc]
            with outside(server, "other", 60.0, "20") as other:
                other.go_on()
                beaten, completed = other.answer()
                done = completed["count"]
                assert (beaten["count"], completed["refused"]) == (done, [])
                while done < len(ids):  # those whose backoff was not over yet
                    with outside(server, "other", 60.0, "20") as again:
                        again.go_on()
                        done += again.answer()[1]["count"]
            first_read = {id_: server.get(f"/tasks/{id_}").json() for id_ in ids}
            logs = {id_: server.get(f"/tasks/{id_}/log").json() for id_ in ids}
            frozen.process.send_signal(signal.SIGCONT)
            frozen.go_on()
            for late in frozen.answer():
                assert (late["count"], set(late["refused"])) == (0, held)
        assert {id_: server.get(f"/tasks/{id_}").json() for id_ in ids} == first_read
        assert {id_: server.get(f"/tasks/{id_}/log").json() for id_ in ids} == logs
        assert {task["result"]["output"] for task in first_read.values()} == {"other"}
        cancelled = server.request("POST", "/tasks", {"action": "resize", "data": {"url": "x"}, "delay": 600})
        events = stream.until("status", 60, id=cancelled.json()["id"])
    ended = [event.data["id"] for event in events if event.data.get("status") == "completed"]
    assert sorted(ended) == sorted(ids), "each has ended once"
    assert {event.data["message"] for event in events if event.name != "status"} == {"other"}


def test_the_task_of_a_killed_worker_is_given_to_another(tmp_path: Path, app: Path) -> None:
    with serving(tmp_path, str(app)) as server:
        id_ = server.submit("resize", {"url": "x"})
        with outside(server, "killed", 0.7) as killed:
            killed.process.kill()
            killed.process.wait(10)
        with outside(server, "other", 30.0) as other:
            other.go_on()
            assert (other.task["id"], other.status()) == (id_, 200)
        errors = [attempt["error"] for attempt in server.get(f"/tasks/{id_}").json()["attempts"]]
        assert (errors[0]["type"], errors[0]["message"][:15]) == ("lease_expired", "worker 'killed'")


def test_leases_hold_while_the_server_is_killed_and_started_again(tmp_path: Path, app: Path) -> None:
    ids = []
    with serving(tmp_path, str(app)) as server:
        for _ in range(3):
            ids.append(server.submit("two"))
        worker = Worker(server)
        tasks = worker.claim(2, lease=60)
        (kept_not,) = worker.claim(1, lease=1, actions=["crop"]) if server.submit("crop") else ()
        worker.close()
        server.kill()
    with serving(tmp_path, str(app)) as server:
        worker = Worker(server)
        states = [server.get(f"/tasks/{id_}").json()["status"] for id_ in ids]
        assert states == ["running", "running", "queued"]
        assert worker.claim(10, wait=0.5, actions=["two"]) == []  # they count against their limit as before
        assert worker.post(f"/tasks/{tasks[0]['id']}/heartbeat", {"lease": tasks[0]["lease"]})[0] == 200
        assert worker.say("complete", tasks[0], result="kept") == 200
        (third,) = worker.claim(10, actions=["two"])
        assert third["id"] == ids[2]
        assert [worker.say("complete", task) for task in (tasks[1], third)] == [200, 200]
        assert server.get(f"/tasks/{ids[0]}").json()["result"] == {"output": "kept"}
        lost = server.ended(kept_not["id"])
        assert (lost["status"], lost["error"]["type"]) == ("failed", "lease_expired")
        worker.close()


def test_a_lease_that_runs_out_while_the_server_is_down_is_over(tmp_path: Path, app: Path) -> None:
    with serving(tmp_path, str(app)) as server:
        id_ = server.submit("resize", {"url": "x"})
        worker = Worker(server)
        (task,) = worker.claim(lease=0.5)
        worker.close()
        server.kill()
    with serving(tmp_path, str(app)) as server:  # its start takes longer than the lease
        worker = Worker(server)
        (again,) = worker.claim(wait=30)
        assert (again["id"], again["attempt"]) == (id_, 2)
        assert worker.say("complete", task) == 409
        assert worker.say("complete", again) == 200
        worker.close()


@pytest.mark.parametrize("round_", range(3))
def test_nothing_claimed_is_lost_or_done_twice_by_kills(tmp_path: Path, app: Path, round_: int) -> None:
    """The server is killed while a worker claims and completes: each task ends with the result that was first read."""
    count = 300
    told: dict[str, object] = {}
    with serving(tmp_path, str(app)) as server:
        tasks = [{"action": "resize", "data": {"url": f"{number}"}} for number in range(count)]
        answer = server.request("POST", "/tasks/bulk", {"tasks": tasks})
        ids = answer.json()["ids"]
        worker = Worker(server)
        for number in range(3 + 2 * round_):
            claimed = worker.claim(20, lease=2)
            if number % 2:
                for task in claimed[: 5 * round_ + 5]:
                    if worker.say("complete", task, result=task["data"]) == 200:
                        told[task["id"]] = task["data"]
        server.kill()
        worker.close()
    with serving(tmp_path, str(app)) as server:
        worker = Worker(server, "second")

        def finish() -> bool:
            for task in worker.claim(100, wait=0.5):
                assert worker.say("complete", task, result=task["data"]) == 200
            page = server.get("/tasks?status=completed&limit=1000").json()
            return bool(page["count"] == count)

        eventually(finish, 60)
        worker.close()
        found = {task["id"]: task for task in server.get("/tasks?limit=1000").json()["tasks"]}
        assert found.keys() == set(ids)
        assert all(task["result"] == task["data"] for task in found.values())
        assert all(found[id_]["result"] == data for id_, data in told.items())
