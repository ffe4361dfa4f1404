"""F1: `kill -9` of everything at random instants, under load from another process."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from apps import application
from durability import THREE_WAYS, Load, check_kept, wait_drained
from support import Server, serving

pytestmark = pytest.mark.fault

KILLS = int(os.environ.get("TASKMILL_KILLS", "4"))
SEED = int(os.environ.get("TASKMILL_SEED", str(random.SystemRandom().getrandbits(32))))


@pytest.mark.timeout(120 + 15 * KILLS)
def test_F1_no_acknowledged_task_is_lost_by_kill_9(tmp_path: Path) -> None:
    print(f"TASKMILL_SEED={SEED} repeats this choice of instants")
    instants = random.Random(SEED)
    app = application(tmp_path / "app", THREE_WAYS)
    data = tmp_path / "data"
    data.mkdir()
    acknowledged: dict[str, object] = {}
    for _ in range(KILLS):
        with serving(data, str(app)) as server:
            load = Load(server, 16, "uppercase", "sum", "on_the_loop", "isolated")
            try:
                load.wait_acknowledged(instants.randrange(1, 1500))
            finally:
                server.kill()
                load.end()
        assert load.acknowledged
        acknowledged.update(load.acknowledged)
        if instants.random() < 0.5:
            _kill_while_starting(data, app, instants)
    with serving(data, str(app)) as server:
        wait_drained(server)
        for id_ in instants.sample(sorted(acknowledged), 20):  # as a client sees them
            assert server.get(f"/tasks/{id_}").json()["result"] == acknowledged[id_]
        assert server.terminate() == 0
    check_kept(data, acknowledged)
    print(f"{KILLS} kills, {len(acknowledged)} acknowledged tasks")


def _kill_while_starting(data: Path, app: Path, instants: random.Random) -> None:
    """Kill a start at some moment of its way: while it recovers, or just before it listens."""
    server = Server(["--addr", "127.0.0.1:0", "--data", str(data), str(app)], data)
    try:
        with pytest.raises(subprocess.TimeoutExpired):  # it lives until it is killed
            server.process.wait(instants.uniform(0.1, 0.8))
    finally:
        server.close()
    assert not re.search("damaged|gone|did not start", server.text())
