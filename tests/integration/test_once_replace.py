"""`unique="replace"`: the last data runs, exactly once, also where it comes as the task begins."""

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apps import application
from submitting import between, look, post, submit
from support import Server, eventually, serving

ROUNDS = int(os.environ.get("TASKMILL_REPLACE_ROUNDS", "150"))
SEED = int(os.environ.get("TASKMILL_SEED", str(random.SystemRandom().getrandbits(32))))
KINDS = ("inline", "loop", "isolated")
ACTIONS = """
from taskmill import current_task

def write(log: str, number: int) -> int:
    line = f"{current_task().id} {current_task().data['number']} {number}\\n".encode()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)
    return number

@action(inline=True, unique="replace")
def inline(log: str, number: int) -> int:
    return write(log, number)

@action(unique="replace")
async def loop(log: str, number: int) -> int:
    return write(log, number)

@action(unique="replace")
def isolated(log: str, number: int) -> int:
    return write(log, number)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def runs(log: Path) -> list[tuple[str, int]]:
    """Return which tasks ran, with which number, and that `current_task().data` said the same."""
    lines = [line.split() for line in log.read_text().splitlines()]
    assert all(shown == number for _, shown, number in lines)
    return [(id_, int(number)) for id_, _, number in lines]


def test_it_is_a_debounce_with_a_delay(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = submit(server, "inline", {"log": str(log), "number": 0}, key="typing", delay=60)
    begin = look(server, first)
    for number in range(1, 6):
        answer = post(server, "inline", {"log": str(log), "number": number}, key="typing", delay=90)
        assert answer.json() == {"id": first, "status": "scheduled", "duplicate": True}
        assert look(server, first)["data"]["number"] == number
    later = look(server, first)
    assert between(begin["run_at"], later["run_at"]) >= 30, "each puts it off again"
    post(server, "inline", {"log": str(log), "number": 6}, key="typing", delay=0.05)
    assert server.ended(first)["result"] == {"output": 6}, "and may put it forward"
    assert runs(log) == [(first, 6)]


def test_without_a_delay_the_time_of_the_first_stays(server: Server, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    first = submit(server, "inline", {"log": log, "number": 0}, key="stays", delay=60)
    run_at = look(server, first)["run_at"]
    assert post(server, "inline", {"log": log, "number": 1}, key="stays").json()["duplicate"]
    task = look(server, first)
    assert (task["run_at"], task["data"]["number"]) == (run_at, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delay", [None, 0.004])
def test_the_last_data_runs_exactly_once_however_it_races_with_the_start(
    server: Server, tmp_path: Path, kind: str, delay: float | None
) -> None:
    """Each answer names the task that takes the number; that task runs once, with the last of its numbers."""
    print(f"TASKMILL_SEED={SEED}")
    pauses = random.Random(SEED)
    log = tmp_path / "log"
    last: dict[str, int] = {}
    options = {} if delay is None else {"delay": delay}
    for number in range(ROUNDS):
        answer = post(server, kind, {"log": str(log), "number": number}, key=kind, **options)
        assert answer.status == 202, answer.body
        last[answer.json()["id"]] = number
        for _ in range(pauses.choice([0, 0, 1, 8])):  # requests of another kind, to pass a moment
            server.get("/healthz")
    for id_ in last:
        server.ended(id_)
    assert sorted(runs(log)) == sorted(last.items())
    assert max(number for _, number in runs(log)) == ROUNDS - 1
    assert len(last) > 1, "some came after a start"


def test_many_clients_replacing_at_once_lose_no_last_word(server: Server, tmp_path: Path) -> None:
    """With several at once the order is the server's; still each task runs once, with a number that was sent to it."""
    log = tmp_path / "log"
    sent: dict[str, set[int]] = {}

    def one(number: int) -> tuple[str, int]:
        answer = post(server, "inline", {"log": str(log), "number": number}, key="many", delay=0.01)
        assert answer.status == 202
        return answer.json()["id"], number

    with ThreadPoolExecutor(8) as clients:
        for id_, number in clients.map(one, range(ROUNDS)):
            sent.setdefault(id_, set()).add(number)
    for id_ in sent:
        server.ended(id_)
    ran = runs(log)
    assert sorted(id_ for id_, _ in ran) == sorted(sent)
    assert all(number in sent[id_] for id_, number in ran)


def test_what_was_replaced_before_a_kill_is_what_runs_after_it(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    log = tmp_path / "log"
    with serving(
        tmp_path, "-o", "app:task_consumer:lifecycle.auto_start=false", directory=tmp_path
    ) as server:
        id_ = submit(server, "inline", {"log": str(log), "number": 1}, key="k")
        assert post(server, "inline", {"log": str(log), "number": 2}, key="k").json()["duplicate"]
        server.kill()
    with serving(tmp_path, directory=tmp_path) as server:
        assert eventually(lambda: server.ended(id_))["result"] == {"output": 2}
    assert runs(log) == [(id_, 2)]
