"""What retention and a long history cost those who submit and those who start."""

import json
import time
from pathlib import Path
from statistics import median

from histories import count_tasks, make_history, wait_grown
from support import Server, serving
from wire import Wire, post, task

NEVER = ("-o", "app:tasks:keep.completed=null")


def test_submits_go_on_while_it_prunes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make_history(data, 150_000, days=40)
    first = _undisturbed(data)
    with serving(data) as server:
        wait_grown(data / "tasks.db-wal", 500_000)  # it prunes
        during = _latencies(server, 2)
        assert server.terminate() == 0
    left, pruned, _ = count_tasks(data)
    assert left > len(first) + len(during), "it was done before the submits were"
    without = min(first, _undisturbed(data), key=median)  # a noisy moment is no measure
    assert pruned > 10_000
    for name, share in (("median", 0.5), ("99th percentile", 0.99)):
        with_, without_ = (_part(seconds, share) * 1000 for seconds in (during, without))
        print(f"{name}: {with_:.2f} ms against {without_:.2f} ms, {with_ / without_:.2f} times")
    print(f"{pruned:,} tasks were pruned meanwhile")
    assert _part(during, 0.5) < max(4 * _part(without, 0.5), 0.02)
    assert _part(during, 0.99) < max(6 * _part(without, 0.99), 0.1)


def test_a_start_does_not_wait_for_the_history(tmp_path: Path) -> None:
    make_history(tmp_path / "long", 300_000, days=1)
    make_history(tmp_path / "empty", 0, days=1)
    seconds: dict[str, list[float]] = {"long": [], "empty": []}
    for _ in range(3):
        for name, starts in seconds.items():
            began = time.monotonic()
            with serving(tmp_path / name) as server:
                starts.append(time.monotonic() - began)
                assert server.terminate() == 0
    long, empty = median(seconds["long"]), median(seconds["empty"])
    print(f"{long:.2f} s with 300,000 ended tasks, {empty:.2f} s with none: {long / empty:.2f} times")
    assert long < 3 * empty + 1


def _undisturbed(data: Path) -> list[float]:
    with serving(data, *NEVER) as server:
        _latencies(server, 0.5)  # to warm up
        took = _latencies(server, 2)
        assert server.terminate() == 0
    return took


def _latencies(server: Server, seconds: float) -> list[float]:
    """Submit one task after another over one connection, and return how long each took."""
    took: list[float] = []
    end = time.monotonic() + seconds
    with Wire(server.url) as wire:
        while time.monotonic() < end:
            began = time.perf_counter()
            answer = wire.send(post(task("hello"), "Content-Type: application/json")).reply()
            took.append(time.perf_counter() - began)
            assert answer.status == 202, json.loads(answer.body)
    return took


def _part(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(len(seconds) * share)]
