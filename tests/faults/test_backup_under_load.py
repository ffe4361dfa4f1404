"""F9: a backup under load holds all that was acknowledged before it began, and runs as a database."""

import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from apps import application
from durability import THREE_WAYS, Load, check_kept, rows, wait_drained
from support import serving

pytestmark = pytest.mark.fault


def back_up(data: Path, copy: Path) -> str:
    """Run the command in a process of its own, as people do."""
    done = subprocess.run(
        [sys.executable, "-m", "taskmill", "backup", str(data / "tasks.db"), str(copy)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_F9_a_backup_under_load_is_whole_and_can_be_run(tmp_path: Path) -> None:
    app = application(tmp_path / "app", THREE_WAYS)
    data = tmp_path / "data"
    data.mkdir()
    acknowledged: list[dict[str, object]] = []
    with serving(data, str(app)) as server:
        load = Load(server, 16, "uppercase", "sum", "on_the_loop")
        try:
            for number in range(3):
                load.wait_acknowledged((number + 1) * 500)
                acknowledged.append(dict(load.acknowledged))
                before = len(load.acknowledged)
                assert "is complete" in back_up(data, tmp_path / f"{number}.db")
                assert len(load.acknowledged) > before, "there was no load meanwhile"
        finally:
            server.kill()
            load.end()
    for number, known in enumerate(acknowledged):
        restored = tmp_path / f"restored-{number}"
        restored.mkdir()
        (tmp_path / f"{number}.db").rename(restored / "tasks.db")
        missing = known.keys() - rows(restored).keys()  # checks the integrity, too
        assert not missing, f"{len(missing)} of {len(known)} are not in the copy"
        with serving(restored, str(app)) as server:
            wait_drained(server)
            assert server.terminate() == 0
        check_kept(restored, known)
    with serving(data, str(app)) as server:  # and the database itself has not suffered
        wait_drained(server)
        assert server.terminate() == 0
    check_kept(data, load.acknowledged)


def test_F9_the_file_alone_lacks_what_stands_in_the_log(tmp_path: Path) -> None:
    """Why the documentation warns of copying `tasks.db`: this is what is lost."""
    data, alone = tmp_path / "data", tmp_path / "alone"
    data.mkdir()
    alone.mkdir()
    with serving(data) as server:
        id_ = server.submit("uppercase", {"text": "x"})
        server.ended(id_)
        shutil.copy(data / "tasks.db", alone)
        back_up(data, tmp_path / "copy.db")
    assert id_ not in rows(alone, must_exist=False)
    alone.joinpath("tasks.db").unlink()
    (tmp_path / "copy.db").rename(alone / "tasks.db")
    assert id_ in rows(alone)


def test_a_backup_of_what_was_killed_leaves_its_log_to_the_next_start(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        id_ = server.submit("uppercase", {"text": "x"})
        server.ended(id_)
        server.kill()
    log = tmp_path / "tasks.db-wal"
    size = log.stat().st_size
    assert size > 0
    back_up(tmp_path, tmp_path / "copy.db")
    assert log.stat().st_size == size
    with serving(tmp_path) as server:
        assert server.get(f"/tasks/{id_}").json()["result"] == {"output": "X"}
        assert server.terminate() == 0
    back_up(tmp_path, tmp_path / "later.db")  # of a database that is closed
    with serving(tmp_path) as server:
        assert server.get(f"/tasks/{id_}").status == 200
        assert server.terminate() == 0


def test_a_copy_of_an_old_database_can_get_shorter(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "tasks.db"))
    connection.execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    assert connection.pragma("auto_vacuum") == 0
    connection.close()
    back_up(tmp_path, tmp_path / "copy.db")
    connection = apsw.Connection(str(tmp_path / "copy.db"))
    assert connection.pragma("auto_vacuum") == 2
    assert connection.execute("SELECT a FROM t").get == 1
    connection.close()
