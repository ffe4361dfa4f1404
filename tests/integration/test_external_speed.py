"""Over one connection a worker claims and completes thousands of tasks a second, in batches."""

import os
import time
from pathlib import Path

import pytest
from apps import application
from external import ACTIONS, Worker, declare
from support import serving

COUNT = 20_000
BATCH = 500
LEAST = float(
    os.environ.get("TASKMILL_OUTSIDE_RATE", "4000")
)  # a second, also on a machine with much else to do


@pytest.mark.timeout(180)
def test_one_connection_carries_thousands_a_second(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, str(declare(application(tmp_path / "app", ACTIONS)))) as server:
        tasks = [{"action": "resize", "data": {"url": f"image-{number}"}} for number in range(5_000)]
        for _ in range(COUNT // len(tasks)):
            assert server.request("POST", "/tasks/bulk", {"tasks": tasks}, timeout=60).status == 202
        worker = Worker(server)
        done = 0
        began = time.monotonic()
        while done < COUNT:
            claimed = worker.claim(BATCH)
            results = [{"id": task["id"], "lease": task["lease"], "result": task["data"]} for task in claimed]
            assert worker.post("/tasks/complete", {"tasks": results}) == (
                200,
                {"count": len(claimed), "refused": []},
            )
            done += len(claimed)
        rate = done / (time.monotonic() - began)
        worker.close()
        assert done == COUNT
        page = server.get("/tasks?status=completed&action=resize&limit=1000").json()["tasks"]
        assert all(task["result"] == task["data"] for task in page)
        assert len(page) == 1000
    with capsys.disabled():
        print(f"\nclaimed and completed outside, {BATCH} at once over one connection: {rate:,.0f} tasks/s")
    assert rate > LEAST
