"""MariaDB killed, frozen, away, or ending connections under load: what was acknowledged comes to its result, once."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from mysql_load import MysqlRows
from nodes import MEMORY, cluster
from nodes_load import ACTIONS, Load, account
from servers.mariadb import USER, MariadbServer, mariadb_server
from support import Server, eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240)]

RATE = 80.0  # tasks a second


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariadbServer]:
    with mariadb_server() as server:
        yield server


def under_load(
    directory: Path, server: MariadbServer, play: Callable[[Server], None]
) -> tuple[dict[str, float], str]:
    """Play with a server under load; return the account of it, and what the node has printed."""
    url, begun = server.create(), directory / "begun"
    with cluster(directory, url, MEMORY, ACTIONS) as there:
        node = there.start(env={"BEGUN": str(begun)})
        load = Load(lambda: [node.url], RATE).start()
        try:
            eventually(lambda: len(load.acknowledged) > 50, 30)
            play(node)
            before = len(load.acknowledged)
            eventually(lambda: len(load.acknowledged) > before + 50, 60)
            load.stop()
            eventually(lambda: MysqlRows(url).unfinished == 0, 90)
        except AssertionError:
            print(there.text())
            raise
        said = account(load, MysqlRows(url), begun)
        assert said["acknowledged"] == said["submitted"]
        assert node.terminate() == 0
        server.drop(url)
        return said, node.text()


def test_killed_and_started_again(tmp_path: Path, mariadb: MariadbServer) -> None:
    def play(_: Server) -> None:
        for _round in range(3):
            mariadb.kill()
            mariadb.start()
            time.sleep(
                random.uniform(0.2, 1.5)
            )  # what is under way at the next instant is what this is about

    said, text = under_load(tmp_path, mariadb, play)
    assert said["executed more than once"] <= 60, "more than can have been under way"
    assert text.count(" is gone ") == text.count(" is back ") <= 3


def test_connections_end_during_commits(tmp_path: Path, mariadb: MariadbServer) -> None:
    kills = 0

    def play(_: Server) -> None:
        nonlocal kills
        end = time.monotonic() + 6
        while time.monotonic() < end:
            sql = "SELECT id FROM information_schema.processlist WHERE user = %s"
            for (number,) in mariadb.execute(sql, USER):
                with contextlib.suppress(pymysql.Error):  # it has ended by itself
                    mariadb.execute(f"KILL HARD CONNECTION {number}")
                    kills += 1
            time.sleep(random.uniform(0, 0.1))

    said, text = under_load(tmp_path, mariadb, play)
    print(f"{kills} connections were ended")
    assert kills > 20
    assert " is gone " not in text, "a server that can be reached is no outage"
    assert said["longest wait for a 202 (s)"] < 10


def test_frozen(tmp_path: Path, mariadb: MariadbServer) -> None:
    def play(_: Server) -> None:
        mariadb.freeze()
        try:
            time.sleep(8)  # nothing moves for so long
        finally:
            mariadb.thaw()

    said, _ = under_load(tmp_path, mariadb, play)
    assert said["longest gap between two ends (s)"] < 20


def test_away_for_20_seconds(tmp_path: Path, mariadb: MariadbServer) -> None:
    refused: list[int] = []

    def play(node: Server) -> None:
        mariadb.kill()
        end = time.monotonic() + 20
        eventually(lambda: node.get("/readyz").status == 503, 10)
        while time.monotonic() < end:
            refused.append(node.request("POST", "/tasks", {"action": "loop", "data": {"number": 0}}).status)
            time.sleep(0.2)
        mariadb.start()
        eventually(lambda: node.get("/readyz").status == 200, 20)

    _, text = under_load(tmp_path, mariadb, play)
    assert set(refused) == {503}
    lines = [line for line in text.splitlines() if "MySQL at" in line]
    assert [" is gone " in line for line in lines].count(True) == 1, "\n".join(lines)
    assert [" is back " in line for line in lines].count(True) == 1, "\n".join(lines)


def test_a_server_that_holds_a_commit_up_holds_nobody_for_ever(
    tmp_path: Path, mariadb: MariadbServer
) -> None:
    """A lock over all tables, as some backups take it: writes wait, and go on."""

    def play(_: Server) -> None:
        connection = pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", read_timeout=30)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("FLUSH TABLES WITH READ LOCK")
            release = threading.Timer(5, lambda: None)
            release.start()
            release.join()
            cursor.execute("UNLOCK TABLES")

    under_load(tmp_path, mariadb, play)
