"""When a worker process is to be replaced."""

import pytest

from taskmill.process import proc, wear
from taskmill.process.wear import PAUSE, Limits, Wear


class System:
    """A clock and a process whose memory is as the test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.resident: int | None = 0
        self.looks = 0

    def monotonic(self) -> float:
        return self.now

    def status(self, pid: int) -> proc.Status | None:
        self.looks += 1
        return None if self.resident is None else proc.Status("S", 1, self.resident)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    made = System()
    monkeypatch.setattr(proc, "status", made.status)
    monkeypatch.setattr(wear, "time", made)
    return made


def test_without_limits_nothing_wears(system: System) -> None:
    assert Wear(Limits(), 1).reason(10**9) is None
    assert system.looks == 0


def test_preparations_are_no_calls(system: System) -> None:
    worn = Wear(Limits(max_tasks=2), 1)
    worn.preparations = 3
    assert worn.reason(4) is None
    assert worn.reason(5) == "it has run 2 calls, and `max_tasks` is 2"
    assert worn.reason(6) == "it has run 3 calls, and `max_tasks` is 2"


def test_memory_is_looked_at_now_and_then(system: System) -> None:
    worn = Wear(Limits(max_memory=1 << 20), 1)
    assert worn.reason(1) is None
    system.resident = 5 << 20
    assert worn.reason(2) is None
    assert system.looks == 1
    system.now += PAUSE
    assert worn.reason(3) == "it holds 5 MiB, and `max_memory` is 1MiB"


def test_one_that_is_too_large_from_the_start_runs_a_call_at_least(system: System) -> None:
    system.resident = 5 << 20
    worn = Wear(Limits(max_tasks=1, max_memory=0), 1)
    worn.preparations = 1
    assert worn.reason(0) is None
    assert worn.reason(1) is None
    assert worn.reason(2) is not None


def test_memory_that_cannot_be_known_does_no_harm(system: System) -> None:
    system.resident = None
    assert Wear(Limits(max_memory=0), 1).reason(1) is None
