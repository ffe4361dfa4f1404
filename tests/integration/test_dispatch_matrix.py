"""The life of tasks is the same on every driver and every database: the rows decide, whatever carries the messages."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from carriers import BROKERS, Started, carried
from support import Server, eventually, serving

ACTIONS = '''
from taskmill import current_task, current_tasks, step

def note(word: str) -> None:
    """Write down what runs, once each time."""
    log = os.open(os.environ["TASKMILL_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, (word + "\\n").encode())
    os.close(log)

@action(inline=True)
def quick(word: str) -> str:
    note(word)
    return word

@action
async def takes(seconds: float, word: str = "") -> str:
    note(word)
    await asyncio.sleep(seconds)
    return word

@action(max_attempts=3, backoff=["50ms"])
async def third() -> int:
    if current_task().attempt < 3:
        raise ValueError("not yet")
    return current_task().attempt

@action(concurrency=2)
async def two(seconds: float) -> list[float]:
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return [began, time.monotonic()]

@action(rate_limit="5/1s")
async def rated() -> float:
    return time.monotonic()

@action(max_attempts=2, backoff=["50ms"])
def crashes() -> None:
    os._exit(3)

def told(word: str) -> str:
    note(word)
    return word

async def told_later(word: str) -> str:
    note(word)
    return word

@action(max_attempts=2, backoff=["50ms"])
def stepped(word: str) -> list[str]:
    found = [step("one", told, word + "1"), step("one", told, word + "2")]
    if current_task().attempt == 1:
        raise ValueError("not yet")
    return [*found, step("one", told, word + "3")]

@action(max_attempts=2, backoff=["50ms"])
async def stepped_on_the_loop(word: str) -> list[str]:
    found = [await step("one", told_later, word + "1"), await step("one", told_later, word + "2")]
    if current_task().attempt == 1:
        raise ValueError("not yet")
    return [*found, await step("one", told_later, word + "3")]

@action(batch=20, batch_wait="100ms", backoff=["50ms"])
async def together(items: list[int]) -> list[Any]:
    note(f"call{len(items)}")
    tasks = current_tasks()
    return [
        ValueError("not yet") if n % 10 == 3 and task.attempt == 1 else n for n, task in zip(items, tasks)
    ]
'''

# A queue for dead letters, and a function that writes down what comes there.
LETTERS = """
  - name: letters
    kind: queue.queue
    driver: queue_driver
    queue_name: letters

  - name: bury
    kind: function.python
    source: file://bury.py
    method: bury

  - name: bury.consumer
    kind: queue.consumer
    queue: letters
    func: bury
"""

BURY = """
import os
from taskmill import queue

def bury(data: object) -> bool:
    with open(os.environ["TASKMILL_NOTES"] + ".letters", "a") as letters:
        letters.write(queue.message().headers()["task-id"] + "\\n")
    return True
"""

PAIRS = [
    ("memory", "postgres"), ("nats", "sqlite"), ("nats", "postgres"), ("redis", "postgres"), ("postgres", "postgres"),
]  # fmt: skip
FURTHER = [
    (driver, database)
    for database in ("sqlite", "postgres", "mysql")
    for driver in ("memory", *BROKERS)
    if (driver, database) not in (*PAIRS, ("memory", "sqlite"))  # that one is what all other tests have
]


Wanted = tuple[str, object, dict[str, Any]]  # action, data, and options


class System:
    """A server with the notes of what has run."""

    def __init__(self, server: Server, notes: Path) -> None:
        self.server = server
        self.notes = notes

    def ran(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    def submit(self, action: str, data: object, **options: Any) -> str:
        answer = self.server.request("POST", "/tasks", {"action": action, "data": data, **options})
        assert answer.status == 202, answer.body
        return str(answer.json()["id"])

    def submit_all(self, tasks: Sequence[Wanted]) -> list[str]:
        with ThreadPoolExecutor(8) as threads:
            return list(threads.map(lambda one: self.submit(one[0], one[1], **one[2]), tasks))

    def outputs(self, ids: Sequence[str]) -> list[Any]:
        """Wait until tasks are completed; return what they returned."""
        tasks = [self.server.ended(id_, 30) for id_ in ids]
        assert {task["status"] for task in tasks} == {"completed"}, tasks
        return [task["result"].get("output", task["result"]) for task in tasks]


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(pair, id="-".join(pair)) for pair in PAIRS),
        *(pytest.param(pair, id="-".join(pair), marks=pytest.mark.long) for pair in FURTHER),
    ],
)
def system(
    request: pytest.FixtureRequest, carriers: Started, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    driver, database = request.param
    place = tmp_path_factory.mktemp("matrix")
    url = None
    if database != "sqlite":
        databases = request.getfixturevalue("mariadb" if database == "mysql" else "postgres")
        url = databases.create()
    directory = carried(place / "app", ACTIONS, carriers(driver), url)
    index = directory / "_index.yaml"
    queue = "driver: queue_driver\n    queue_name: "
    # An engine is shared by many tests, so each has its own queues.
    text = index.read_text().replace(
        f"{queue}tasks\n", f"{queue}tasks-{place.name}\n    dead_letter: letters\n"
    )
    letters = LETTERS.replace("queue_name: letters", f"queue_name: letters-{place.name}")
    index.write_text(text + letters)
    (directory / "bury.py").write_text(BURY)
    notes = place / "notes"
    with serving(place / "data", directory=directory, env={"TASKMILL_NOTES": str(notes)}) as server:
        yield System(server, notes)
        assert server.terminate() == 0, server.text()
    if url is not None:
        databases.drop(url)


@pytest.fixture(autouse=True)
def fresh_notes(system: System) -> None:
    """Begin each test with nothing noted, so that one that is tried again is not judged by what it left."""
    system.notes.write_text("")


def test_each_of_many_runs_once(system: System) -> None:
    words = [f"many-{number}" for number in range(300)]
    ids = system.submit_all([("quick", {"word": word}, {}) for word in words])
    assert system.outputs(ids) == words
    assert sorted(word for word in system.ran() if word.startswith("many")) == sorted(words)


def test_a_failure_is_tried_again(system: System) -> None:
    task = system.server.ended(system.submit("third", {}))
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 3, {"output": 3})
    assert [one["error"] and one["error"]["message"] for one in task["attempts"]] == [
        "not yet",
        "not yet",
        None,
    ]


def test_a_crash_is_an_attempt(system: System) -> None:
    id_ = system.submit("crashes", {})
    task = system.server.ended(id_, 30)
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 2, "worker_crashed")
    letters = system.notes.with_name("notes.letters")
    eventually(lambda: letters.exists() and letters.read_text().split().count(id_) == 1, 20)


def test_a_delay_is_kept(system: System) -> None:
    began = time.time()
    id_ = system.submit("quick", {"word": "late"}, delay=0.6)
    assert system.server.get(f"/tasks/{id_}").json()["status"] == "scheduled"
    system.outputs([id_])
    assert time.time() - began >= 0.6


def test_the_urgent_goes_before_what_waits(system: System) -> None:
    assert overtakes(system, {}, {"priority": 9}) < 160


def test_tenants_take_turns(system: System) -> None:
    assert overtakes(system, {"fair_key": "greedy"}, {"fair_key": "modest"}) < 160


def overtakes(system: System, many: dict[str, Any], few: dict[str, Any]) -> int:
    """Submit 200 tasks, then five others; return how many had run before the last of those.

    An engine may hold a second's worth of them by then, at the pace of whatever ran before.
    """
    slow: list[Wanted] = [("takes", {"seconds": 0.03, "word": f"many-{n}"}, many) for n in range(200)]
    ids = system.submit_all(slow)
    ids += [system.submit("takes", {"seconds": 0.0, "word": f"few-{n}"}, **few) for n in range(5)]
    system.outputs(ids)
    return system.ran().index("few-4")


def test_what_nobody_starts_in_time_is_never_started(system: System) -> None:
    ids = system.submit_all([("takes", {"seconds": 0.2, "word": "before"}, {"priority": 1})] * 24)
    late = system.submit("quick", {"word": "too late"}, expires_in=0.6)
    task = system.server.ended(late, 30)
    assert (task["status"], task["error"]["type"]) == ("failed", "expired")
    system.outputs(ids)
    assert "too" not in system.ran()


def test_a_limit_holds(system: System) -> None:
    times = system.outputs(system.submit_all([("two", {"seconds": 0.05}, {})] * 12))
    for began, _ in times:
        assert sum(other <= began < end for other, end in times) <= 2, times


def test_a_rate_holds(system: System) -> None:
    starts = sorted(system.outputs(system.submit_all([("rated", {}, {})] * 12)))
    # A start is the moment at which the rate counts, a little before the action looks at the clock.
    assert all(later - earlier > 0.9 for earlier, later in zip(starts, starts[5:], strict=False)), starts


def test_what_waits_and_what_runs_is_cancelled(system: System) -> None:
    ids = system.submit_all([("takes", {"seconds": 30, "word": "long"}, {})] * 30)
    # Whichever of those that were sent side by side came first.
    eventually(lambda: system.server.get("/tasks?action=takes&status=running").json()["count"], 20)
    answer = system.server.request("POST", "/tasks/cancel", {"action": "takes"})
    assert answer.json()["count"] == 30
    assert {system.server.get(f"/tasks/{id_}").json()["status"] for id_ in ids} == {"cancelled"}
    assert system.outputs([system.submit("quick", {"word": "after"})]) == ["after"]


def test_a_cancelled_task_is_run_again(system: System) -> None:
    id_ = system.submit("quick", {"word": "again"}, delay=60)
    assert system.server.request("POST", f"/tasks/{id_}/cancel").status == 200
    assert system.server.request("POST", f"/tasks/{id_}/retry").status == 200
    assert system.outputs([id_]) == ["again"]


def test_a_paused_queue_rests(system: System) -> None:
    queue = system.server.get("/queues").json()["queues"][0]["name"]
    assert system.server.request("POST", f"/queues/{queue}/pause").status == 200
    ids = system.submit_all([("quick", {"word": f"paused-{number}"}, {}) for number in range(40)])
    time.sleep(0.3)  # a bound on how long nothing may happen
    assert not [word for word in system.ran() if word.startswith("paused")]
    assert system.server.request("POST", f"/queues/{queue}/resume").status == 200
    system.outputs(ids)
    assert len([word for word in system.ran() if word.startswith("paused")]) == 40


def test_a_schedule_runs(system: System) -> None:
    body = {"every": 1, "action": "quick", "data": {"word": "scheduled"}}
    assert system.server.request("PUT", "/schedules/often", body).status in (200, 201)
    eventually(lambda: system.ran().count("scheduled") >= 2, 20)
    assert system.server.request("DELETE", "/schedules/often").status in (200, 204)


def test_batches_are_filled_and_each_task_ends_by_itself(system: System) -> None:
    before = len(system.ran())
    tasks = [{"action": "together", "data": n} for n in range(100)]
    answer = system.server.request("POST", "/tasks/bulk", {"tasks": tasks})
    assert answer.status == 202, answer.body
    assert system.outputs(answer.json()["ids"]) == list(range(100))
    sizes = [int(word.removeprefix("call")) for word in system.ran()[before:] if word.startswith("call")]
    print(f"batches of {sizes}")
    assert sum(sizes) == 110, "each once, and those that failed once more"
    assert max(sizes) == 20
    assert len(sizes) < 25, "five are the fewest, and one or two for what is tried again"


def test_what_was_done_in_steps_is_not_done_again(system: System) -> None:
    wanted: list[Wanted] = [
        ("stepped", {"word": "def"}, {}),
        ("stepped_on_the_loop", {"word": "async"}, {}),
        ("stepped", {"word": "urgent"}, {"priority": 5}),
    ]
    ids = system.submit_all(wanted)
    words = ("def", "async", "urgent")
    assert system.outputs(ids) == [[f"{word}{n}" for n in (1, 2, 3)] for word in words]
    ran = system.ran()
    assert all(ran.count(f"{word}{n}") == 1 for word in words for n in (1, 2, 3))
    for id_ in ids:
        steps = system.server.get(f"/tasks/{id_}").json()["steps"]
        assert [step["name"] for step in steps] == ["one", "one#2", "one#3"]
