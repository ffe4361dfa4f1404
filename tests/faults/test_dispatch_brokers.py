"""F14 to F16: an engine that loses all, is away, or thinks that a task takes too long. The rows are the truth."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from carriers import BROKERS, Carrier, carried, make
from dispatching_load import ACTIONS, Load, enough, twice
from support import eventually, serving

pytestmark = pytest.mark.fault

QUICK = ("nats", "redis")  # to start; the others are for CI


@pytest.fixture(
    params=[pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in BROKERS]
)
def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Carrier]:
    with ExitStack() as running:
        yield make(request.param, tmp_path, running)


def test_f14_what_an_engine_has_lost_runs_all_the_same(carrier: Carrier, tmp_path: Path) -> None:
    directory = carried(tmp_path / "app", ACTIONS, carrier)
    notes = tmp_path / "notes"
    with serving(tmp_path / "data", directory=directory, env={"TASKMILL_NOTES": str(notes)}) as server:
        load = Load([server], notes, seconds=0.02)
        with load.running():
            enough(load, 100)
            carrier.wipe()
            enough(load, 100)
        runs = load.check(server)
        # What had begun is not begun again: its claim stands with the rows, not with the engine.
        assert not twice(runs)
        assert server.terminate() == 0


def test_f15_an_engine_that_is_away_keeps_nobody_from_submitting(carrier: Carrier, tmp_path: Path) -> None:
    directory = carried(tmp_path / "app", ACTIONS, carrier)
    notes = tmp_path / "notes"
    with serving(tmp_path / "data", directory=directory, env={"TASKMILL_NOTES": str(notes)}) as server:
        load = Load([server], notes)
        with load.running():
            enough(load, 50)
            carrier.settle()
            carrier.server.kill()
            enough(load, 200)
            eventually(carrier.starts, 60)
            enough(load, 50)
        runs = load.check(server)
        assert not load.refused
        assert load.longest < 2
        assert not twice(runs)
        assert server.terminate() == 0


def test_f15_an_engine_that_restarts_again_and_again(carrier: Carrier, tmp_path: Path) -> None:
    directory = carried(tmp_path / "app", ACTIONS, carrier)
    notes = tmp_path / "notes"
    with serving(tmp_path / "data", directory=directory, env={"TASKMILL_NOTES": str(notes)}) as server:
        load = Load([server], notes)
        with load.running():
            enough(load, 5)
            carrier.settle()
            for _ in range(5):
                enough(load, 5)
                carrier.restart()
            back = time.monotonic()
            known = len(load.acknowledged)
            enough(load, 20)
            last = list(load.acknowledged.values())[known]
            server.ended(last, 20)
            print(f"took tasks again after {time.monotonic() - back:.1f} s")
        load.check(server)
        assert not load.refused
        eventually(lambda: server.get("/readyz").status == 200, 20)
        assert server.terminate() == 0


@pytest.mark.parametrize("name", ["nats", "redis", pytest.param("postgres", marks=pytest.mark.long)])
def test_f16_a_task_longer_than_the_lease_runs_once(name: str, tmp_path: Path) -> None:
    with ExitStack() as running:
        carrier = make(name, tmp_path, running)
        directory = carried(tmp_path / "app", ACTIONS, carrier, lease=2)
        notes = tmp_path / "notes"
        with serving(tmp_path / "data", directory=directory, env={"TASKMILL_NOTES": str(notes)}) as server:
            data = {"seconds": 7, "word": "long"}
            id_ = server.request("POST", "/tasks", {"action": "takes", "data": data}).json()["id"]
            task = server.ended(id_, 30)
            assert (task["status"], task["attempt"]) == ("completed", 1)
            assert notes.read_text().split() == ["long"]
