"""The dead letter: an ordinary function learns of each task that has failed for good, whatever dies in between."""

import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import apsw
import pytest
from apps import application
from support import Server, eventually, serving

ACTIONS = """
from taskmill import Fail, queue

@action(max_attempts=2, backoff=0)
async def broken(number: int = 0) -> None:
    raise ValueError(f"no {number}")

@action(inline=True)
def final(number: int = 0) -> None:
    raise Fail("never")

@action(inline=True, max_attempts=1)
def moody(number: int = 0) -> None:
    if not os.path.exists("mended"):
        raise OSError("away")

@action(inline=True)
def good(number: int = 0) -> int:
    return number

def bury(data: Any) -> bool:
    if os.path.exists("shut"):
        return False
    message = queue.message()
    with open("letters", "a") as file:
        print(json.dumps({"id": message.id(), "data": data, **message.headers()}), file=file)
    return True
"""
ENTRIES = """
  - name: letters
    kind: queue.queue
    driver: letters_driver

  - name: letters_driver
    kind: queue.driver.memory
    max_length: 5

  - name: bury
    kind: function.python
    source: file://actions.py
    method: bury

  - name: burying
    kind: queue.consumer
    queue: letters
    func: bury
    prefetch: 0
"""


def with_letters(directory: Path, when_full: str = "wait") -> Path:
    """An application whose queue has a dead letter, and a small queue for them with an ordinary consumer."""
    application(directory, "import json\n" + ACTIONS)
    index = directory / "_index.yaml"
    text = index.read_text().replace(
        "    queue_name: tasks\n", "    queue_name: tasks\n    dead_letter: letters\n"
    )
    index.write_text(text + ENTRIES.replace("max_length: 5", f"max_length: 5\n    when_full: {when_full}"))
    return directory


def letters(directory: Path) -> list[dict[str, Any]]:
    file = directory / "letters"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def buried(directory: Path, count: int) -> list[dict[str, Any]]:
    """Wait for so many letters and return them."""
    eventually(lambda: len(letters(directory)) >= count, 20)
    return letters(directory)


def kept(data: Path) -> int:
    """How many letters a server that has stopped would still deliver, by a copy of its database."""
    copy = Path(tempfile.mkdtemp(dir=data))
    for file in data.glob("tasks.db*"):
        shutil.copy(file, copy)
    connection = apsw.Connection(str(copy / "tasks.db"))
    try:
        ((count,),) = connection.execute("SELECT count(*) FROM dead_letter")
        return int(count)
    finally:
        connection.close()


def test_a_letter_says_what_failed_where_and_why(tmp_path: Path) -> None:
    directory = with_letters(tmp_path / "app")
    with serving(tmp_path, directory=directory) as server:
        broken = server.ended(server.submit("broken", {"number": 7}))
        final = server.ended(server.submit("final", {"number": 8}))
        server.ended(server.submit("good", {"number": 9}))
        first, second = sorted(buried(directory, 2), key=lambda letter: letter["action"])
        assert first == {
            "id": f"{broken['id']}-2", "data": {"number": 7}, "task-id": broken["id"], "action": "broken",
            "queue": "tasks", "attempt": "2", "error-type": "ValueError", "error-message": "no 7",
            "failed-at": broken["finished_at"],
        }  # fmt: skip
        assert (second["task-id"], second["error-type"], second["attempt"]) == (final["id"], "Fail", "1")
        assert server.get(f"/tasks/{broken['id']}").json()["status"] == "failed", "the row stays"
        assert server.terminate() == 0
    assert kept(tmp_path) == 0
    assert len(letters(directory)) == 2


def test_a_task_that_expires_and_one_that_fails_twice_over(tmp_path: Path) -> None:
    directory = with_letters(tmp_path / "app")
    with serving(tmp_path, directory=directory) as server:
        server.request("POST", "/queues/tasks/pause")
        late = server.request("POST", "/tasks", {"action": "good", "expires_in": 0.05}).json()["id"]
        (letter,) = buried(directory, 1)
        assert (letter["task-id"], letter["error-type"], letter["attempt"]) == (late, "expired", "0")
        server.request("POST", "/queues/tasks/resume")
        moody = server.submit("moody")
        buried(directory, 2)
        server.request("POST", f"/tasks/{moody}/retry")
        assert [one["id"] for one in buried(directory, 3)[1:]] == [f"{moody}-1", f"{moody}-2"]
        (directory / "mended").touch()
        server.request("POST", f"/tasks/{moody}/retry")
        assert server.ended(moody)["status"] == "completed"
        assert len(letters(directory)) == 3
        assert server.terminate() == 0


@pytest.mark.parametrize("when_full", ["wait", "refuse"])
def test_letters_that_nobody_takes_wait_through_a_kill(tmp_path: Path, when_full: str) -> None:
    directory = with_letters(tmp_path / "app", when_full)
    (directory / "shut").touch()
    with serving(tmp_path, directory=directory) as server:
        ids = [server.submit("final", {"number": number}) for number in range(40)]
        for id_ in ids:
            server.ended(id_)
        server.kill()
    assert letters(directory) == []
    assert kept(tmp_path) == 40
    (directory / "shut").unlink()
    with serving(tmp_path, directory=directory) as server:
        found = buried(directory, 40)
        assert [letter["task-id"] for letter in found] == ids, "in the order of their failures"
        assert server.terminate() == 0
    assert kept(tmp_path) == 0


def submitted(server: Server, chance: random.Random, count: int) -> list[str]:
    return [
        server.submit(chance.choice(["final", "broken", "good"]), {"number": one}) for one in range(count)
    ]


def test_each_failed_task_has_its_letter_whenever_the_server_is_killed(tmp_path: Path) -> None:
    directory = with_letters(tmp_path / "app")
    chance = random.Random(4)
    ids: list[str] = []
    for _ in range(3):
        with serving(tmp_path, directory=directory) as server:
            ids += submitted(server, chance, chance.randrange(20, 60))
            server.kill()  # with some of them waiting, running, failed, and on their way to the other queue
    with serving(tmp_path, directory=directory) as server:
        tasks = [server.ended(id_) for id_ in ids]
        failed = {task["id"] for task in tasks if task["status"] == "failed"}
        assert failed
        eventually(lambda: {letter["task-id"] for letter in letters(directory)} == failed, 20)
        assert server.terminate() == 0
    assert kept(tmp_path) == 0


def test_without_a_dead_letter_nothing_is_kept(tmp_path: Path) -> None:
    directory = application(tmp_path / "app", "import json\n" + ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        server.ended(server.submit("final"))
        assert server.terminate() == 0
    assert kept(tmp_path) == 0
