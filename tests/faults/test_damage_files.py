"""F7: a data directory that is not as it was left. The server says which file and what to do, and exits with 1."""

import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from durability import Load, check_kept, small_disk, start_fails, wait_drained
from support import eventually, serving

pytestmark = pytest.mark.fault

PAGE = 4096


def _fill(data: Path, *, kill: bool) -> dict[str, object]:
    """Run some hundred tasks; leave the directory after a stop, or after `kill -9` with a write-ahead log."""
    data.mkdir()
    with serving(data) as server:
        load = Load(server, 8, "uppercase")
        try:
            load.wait_acknowledged(400)
            if kill:
                server.kill()
            else:
                assert server.terminate() == 0
        finally:
            load.end()
    assert (data / "tasks.db-wal").exists() == kill
    return load.acknowledged


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose server was stopped."""
    data = tmp_path_factory.mktemp("stopped") / "data"
    _fill(data, kill=False)
    return data


def _flip_page(file: Path) -> None:
    """Flip every bit of a page in the middle."""
    content = bytearray(file.read_bytes())
    start = len(content) // PAGE // 2 * PAGE
    content[start : start + PAGE] = bytes(byte ^ 0xFF for byte in content[start : start + PAGE])
    file.write_bytes(content)


def _flip_header(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[:PAGE] = bytes(byte ^ 0xFF for byte in content[:PAGE])
    file.write_bytes(content)


def _cut(file: Path) -> None:
    """Keep the first half, as a copy that broke off would."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _cut_within_a_page(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size - PAGE // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _overwrite_with_text(file: Path) -> None:
    file.write_text("This is no database.\n" * 500)


@pytest.mark.parametrize(
    "damage",
    [_flip_page, _flip_header, _cut, _cut_within_a_page, _empty, Path.unlink, _overwrite_with_text],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_F7_a_damaged_database_is_named_with_its_mend(
    stopped: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    file = data / "tasks.db"
    damage(file)
    before = file.read_bytes() if file.exists() else None
    for _ in range(2):  # nor does it start the second time
        text = start_fails(data)
        assert str(file) in text
        assert "restore a backup" in text
    assert (file.read_bytes() if file.exists() else None) == before, "the evidence was changed"


def test_F7_a_write_ahead_log_that_was_deleted_after_a_kill_is_missed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    acknowledged = _fill(data, kill=True)
    log = data / "tasks.db-wal"
    content = log.read_bytes()
    log.unlink()
    text = start_fails(data)
    assert str(log) in text
    assert "restore a backup" in text
    log.write_bytes(content)  # the backup
    with serving(data) as server:
        wait_drained(server)
        assert server.terminate() == 0
    check_kept(data, acknowledged)


def test_F7_what_the_message_says_gets_a_user_going_again(stopped: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    (data / "tasks.db").unlink()
    text = start_fails(data)
    lock = data / "tasks.db.lock"
    assert f"remove {lock} to begin with an empty database" in text
    lock.unlink()
    with serving(data) as server:
        assert server.get("/tasks").json()["count"] == 0


def test_F7_damage_found_while_running_ends_the_server(stopped: Path, tmp_path: Path) -> None:
    """The file changes under a running server, in pages that it has not read yet."""
    data = tmp_path / "data"
    shutil.copytree(stopped, data)
    with serving(data, "-o", "app:db:options.cache_size=0") as server:
        _flip_in_place(data / "tasks.db")

        def look() -> bool:
            with suppress(OSError):
                server.get("/tasks?limit=1000")
            return server.process.poll() is not None

        eventually(look)
        assert server.process.returncode == 1
        assert str(data / "tasks.db") in server.text()
        assert "restore a backup" in server.text()


def _flip_in_place(file: Path) -> None:
    """Flip all pages but the first, without another file taking the place of the one that is open."""
    content = file.read_bytes()
    with file.open("r+b") as opened:
        opened.seek(PAGE)
        opened.write(bytes(byte ^ 0xFF for byte in content[PAGE:]))


def test_F7_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m,ro") as disk:
        text = start_fails(disk)
        assert str(disk) in text
        assert "cannot be written" in text
        assert "--data" in text


def test_F7_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file\n")
    text = start_fails(tmp_path / "data")
    assert str(tmp_path / "data") in text
    assert "cannot be written" in text


def test_F7_the_database_file_stays_private_to_its_user(stopped: Path) -> None:
    """Tasks hold what clients sent: nobody but the owner may change them."""
    for file in stopped.iterdir():
        assert not file.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), file
