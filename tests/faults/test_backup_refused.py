"""A backup that cannot be made says why, and leaves nothing that looks like one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from durability import small_disk
from support import eventually

from taskmill.sql import DatabaseError
from taskmill.sql.backup import back_up

pytestmark = pytest.mark.fault
ROWS = 20_000


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE t (a)")
    with connection:
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,) for _ in range(ROWS)])
    connection.close()
    return path


def test_mistakes_are_named_with_their_mend(tmp_path: Path, database: Path) -> None:
    (tmp_path / "there.db").write_bytes(b"precious")
    for source, copy, text in (
        (tmp_path / "nothing.db", tmp_path / "a.db", "no database"),
        (tmp_path, tmp_path / "a.db", "no database"),
        (database, tmp_path / "there.db", "exists already: choose another name"),
        (database, database, "exists already"),
        (database, tmp_path / "none" / "a.db", "there is no directory"),
        (tmp_path / "there.db", tmp_path / "a.db", "is damaged"),
    ):
        with pytest.raises(DatabaseError, match=text):
            back_up(source, copy)
    assert (tmp_path / "there.db").read_bytes() == b"precious"
    assert not (tmp_path / "a.db").exists()
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_command_exits_with_1(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "taskmill", "backup", str(tmp_path / "no.db"), str(tmp_path / "a.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("taskmill: no database")
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_no_copy(tmp_path: Path, database: Path) -> None:
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        with pytest.raises(DatabaseError, match="see that its disk has room"):
            back_up(database, disk / "copy.db")
        assert list(disk.iterdir()) == []


def test_a_backup_that_is_killed_leaves_no_file_of_its_name(tmp_path: Path, database: Path) -> None:
    target = tmp_path / "copies"
    target.mkdir()
    command = [sys.executable, "-m", "taskmill", "backup", str(database), str(target / "copy.db")]
    process = subprocess.Popen(command)
    try:
        eventually(lambda: list(target.iterdir()), 30)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert not (target / "copy.db").exists()
    assert back_up(database, target / "copy.db") > ROWS * 1000
