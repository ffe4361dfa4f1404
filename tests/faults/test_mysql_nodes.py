"""Nodes over one MySQL, on a broker of another engine: some are killed under load, nothing is lost or stored twice."""

import random
import time
from pathlib import Path

import pytest
from mysql_load import MysqlRows
from nodes import cluster, nats
from nodes_load import ACTIONS, Load, account
from servers.mariadb import MariadbServer
from servers.nats import NatsServer
from support import Server, eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

SECONDS = 15.0
RATE = 60.0  # tasks a second


def test_worker_nodes_are_killed(tmp_path: Path, mariadb: MariadbServer, mariadb_url: str) -> None:
    begun = tmp_path / "begun"
    env = {"BEGUN": str(begun)}
    broker = NatsServer(tmp_path / "nats")
    broker.start()
    try:
        with cluster(tmp_path, mariadb_url, nats(broker.url), ACTIONS) as there:
            door = there.start("--only", "http", env=env)
            workers = [there.start("--only", "workers", env=env) for _ in range(2)]
            load = Load(lambda: [door.url], RATE).start()
            end = time.monotonic() + SECONDS
            kills = 0
            while time.monotonic() < end:
                time.sleep(random.uniform(1, 4))  # what is under way at that instant is what this is about
                victim: Server = workers.pop(random.randrange(len(workers)))
                victim.kill()
                workers.append(there.start("--only", "workers", env=env))
                kills += 1
            load.stop()
            try:
                eventually(lambda: MysqlRows(mariadb_url).unfinished == 0, 90)
            except AssertionError:
                print(there.text())
                raise
            print(f"{kills} kills")
            said = account(load, MysqlRows(mariadb_url), begun)
            assert said["acknowledged"] == said["submitted"] == said["completed"]
            for node in (door, *workers):
                assert node.terminate() == 0
    finally:
        broker.stop()
