"""`kill -9` in the middle of pruning: nothing is half pruned, and nothing is lost that has not ended."""

import shutil
from pathlib import Path

import pytest
from histories import count_tasks, make_history, wait_grown
from support import eventually, serving

pytestmark = pytest.mark.fault
COUNT = 60_000
NEVER = ("-o", "app:tasks:keep.completed=null")


def test_a_kill_while_pruning_leaves_each_task_whole_or_gone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    waiting = make_history(data, COUNT, days=40)
    partly = 0
    for share in (1, 3, 2):
        before = count_tasks(data)[0]
        with serving(data) as server:
            # The log grows by each step: the kill comes somewhere among them.
            wait_grown(data / "tasks.db-wal", share * 200_000)
            server.kill()
        copy = tmp_path / "copy"
        shutil.copytree(data, copy)  # to look at it without doing the server's recovery for it
        ended, tombstones, still_waiting = count_tasks(copy)
        shutil.rmtree(copy)
        assert ended + tombstones == COUNT - len(waiting)
        assert still_waiting == waiting
        partly += 0 < ended < before
        with serving(data, *NEVER) as server:  # recovers
            assert server.terminate() == 0
    assert partly, "no kill came while it pruned"
    with serving(data) as server:
        eventually(lambda: server.request("POST", "/tasks/prune").json() == {"count": 0, "more": False}, 60)
        assert server.terminate() == 0
    ended, tombstones, still_waiting = count_tasks(data)
    assert (ended, tombstones, still_waiting) == (0, COUNT - len(waiting), waiting)
