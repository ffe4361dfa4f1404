"""F3: nothing is promised before it is flushed. F6: what was promised survives a power loss.

Both read the system calls of a real server under load. The power loss is simulated: see `durability_disk.py`.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from durability import Load, check_kept, exit_of, rows, under_strace, wait_drained
from durability_disk import Disk, Keep
from durability_trace import OPTIONS, Syscall, read_trace
from support import serving

pytestmark = [pytest.mark.fault, pytest.mark.timeout(180)]

TASKS = 150
FLUSHES = ("fdatasync", "fsync")


class Recorded:
    """A server's calls while it took tasks, each seen completed by a reader, until it was killed."""

    def __init__(self, data: Path, *arguments: str) -> None:
        data.mkdir()
        trace = data.with_suffix(".trace")
        env = {**under_strace(*OPTIONS, "-o", str(trace)), "CHECKPOINT_PAGES": "25"}
        with serving(data, *arguments, env=env) as server:
            load = Load(server, 8, "uppercase")
            try:
                load.wait_acknowledged(TASKS)
                for id_ in list(load.acknowledged)[:20]:
                    server.ended(id_)
            finally:
                server.kill()
                load.end()
            exit_of(server)
        self.data = data
        self.results = {id_: str(result["output"]) for id_, result in load.acknowledged.items()}  # type: ignore[index]
        self.calls = read_trace(trace)
        answers = [call for call in self.calls if call.file.startswith("socket:") and call.written]
        self.accepted = _first_holding(answers, {id_: id_.encode() for id_ in self.results})
        self.completed = _first_holding(
            [call for call in answers if b'"status":"completed"' in call.written],
            {id_: f'"output":"{result}"'.encode() for id_, result in self.results.items()},
        )
        assert len(self.accepted) == len(self.results) >= TASKS
        assert len(self.completed) >= 20


def _first_holding(calls: list[Syscall], texts: dict[str, bytes]) -> dict[str, Syscall]:
    """Return, for each id, the first call that wrote its text."""
    found: dict[str, Syscall] = {}
    waiting = dict(texts)
    for call in calls:
        for id_ in [id_ for id_, text in waiting.items() if text in call.written]:
            found[id_] = call
            del waiting[id_]
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("power") / "data")


def test_F3_no_202_leaves_before_its_row_is_flushed(recorded: Recorded) -> None:
    texts = {id_: json.dumps(result.lower()).encode() for id_, result in recorded.results.items()}
    _check_flushed_before(recorded, texts, recorded.accepted)


def test_F3_no_reader_sees_completed_before_the_result_is_flushed(recorded: Recorded) -> None:
    texts = {id_: json.dumps(recorded.results[id_]).encode() for id_ in recorded.completed}
    _check_flushed_before(recorded, texts, recorded.completed)


def _check_flushed_before(recorded: Recorded, texts: dict[str, bytes], answers: dict[str, Syscall]) -> None:
    log = str(recorded.data / "tasks.db-wal")
    writes = [call for call in recorded.calls if call.name == "pwrite64" and call.file == log]
    flushes = [
        call for call in recorded.calls if call.name in FLUSHES and call.file == log and call.result == 0
    ]
    written = _first_holding(writes, texts)
    for id_, answer in answers.items():
        row = written[id_]
        assert any(row.ended < flush.began and flush.ended < answer.began for flush in flushes), id_


def _cuts(recorded: Recorded, every: int) -> Iterator[tuple[int, set[str]]]:
    """Yield moments just after a 202 has left, and what had been acknowledged by then."""
    acknowledged: set[str] = set()
    for number, (id_, answer) in enumerate(sorted(recorded.accepted.items(), key=lambda item: item[1].began)):
        acknowledged.add(id_)
        if number % every == 0:
            yield answer.began, set(acknowledged)


@pytest.mark.parametrize("keep", ["nothing", "some", "everything"])
def test_F6_power_loss_takes_no_acknowledged_task_along(
    recorded: Recorded, tmp_path: Path, keep: Keep
) -> None:
    disk = Disk(recorded.data, recorded.calls)
    choice = random.Random(6)
    checkpoints = sum(call.name in FLUSHES and call.file.endswith("tasks.db") for call in recorded.calls)
    assert checkpoints >= 3, "the load was too small to meet a checkpoint"
    cuts = 0
    for moment, acknowledged in _cuts(recorded, every=2):
        disk.play(moment)
        left = tmp_path / f"at-{moment}"
        disk.cut_power(left, keep, choice)
        lost = acknowledged - rows(left).keys()
        assert not lost, f"{len(lost)} of {len(acknowledged)} lost at line {moment}"
        cuts += 1
    print(f"{cuts} power losses, {checkpoints} flushes of the database file")


def test_F6_a_server_goes_on_after_a_power_loss(recorded: Recorded, tmp_path: Path) -> None:
    disk = Disk(recorded.data, recorded.calls)
    for moment, acknowledged in _cuts(recorded, every=70):
        disk.play(moment)
        left = tmp_path / f"at-{moment}"
        disk.cut_power(left, "nothing", random.Random(6))
        with serving(left) as server:
            wait_drained(server)
            assert server.terminate() == 0
        check_kept(left, {id_: {"output": recorded.results[id_]} for id_ in acknowledged})


def test_F6_the_simulation_sees_what_synchronous_normal_risks(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "data", "-o", "app:db:options.synchronous=normal")
    disk = Disk(recorded.data, recorded.calls)
    lost = 0
    for moment, acknowledged in _cuts(recorded, every=10):
        disk.play(moment)
        left = tmp_path / f"at-{moment}"
        disk.cut_power(left, "nothing", random.Random(6))
        lost = max(lost, len(acknowledged - rows(left, must_exist=False).keys()))
    assert lost > 0
