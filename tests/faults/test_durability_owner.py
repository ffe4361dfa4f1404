"""F8: a data directory has one owner; what is durable, and who holds the database open, seen from outside."""

import os
import signal
from pathlib import Path

import pytest
from apps import application, descendants
from durability import THREE_WAYS, exit_of, start_fails
from support import Server, eventually, serving

pytestmark = pytest.mark.fault


def test_F8_a_second_instance_exits_at_once_and_names_the_holder(tmp_path: Path) -> None:
    with serving(tmp_path) as holder:
        id_ = holder.submit("uppercase", {"text": "mine"})
        said = start_fails(tmp_path)
        assert f"in use by process {holder.process.pid}" in said
        assert str(tmp_path / "tasks.db") in said
        assert "--data" in said
        assert holder.ended(id_)["status"] == "completed"
        assert holder.terminate() == 0


def test_F8_of_two_that_start_at_once_one_runs(tmp_path: Path) -> None:
    """Neither a half-made database nor a migration run twice comes of it."""
    data = tmp_path / "data"
    arguments = ["--addr", "127.0.0.1:0", "--data", str(data)]
    both = [Server(arguments, tmp_path) for _ in range(2)]
    try:
        eventually(lambda: all(one.url or one.process.poll() is not None for one in both), 20)
        running = [one for one in both if one.url]
        assert len(running) == 1, "\n".join(one.text() for one in both)
        (ended,) = [one for one in both if not one.url]
        assert exit_of(ended) == 1
        assert f"in use by process {running[0].process.pid}" in ended.text()
        assert running[0].ended(running[0].submit("sum", {"numbers": [1]}))["result"] == {"output": 1}
    finally:
        for one in both:
            one.close()


def test_F8_a_stale_lock_does_not_block(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        first.kill()
    assert f'"pid":{first.process.pid}' in (tmp_path / "tasks.db.lock").read_text()
    with serving(tmp_path) as second:
        assert second.ended(second.submit("sum", {"numbers": [1]}))["result"] == {"output": 1}


def test_F8_a_frozen_holder_is_still_the_holder(tmp_path: Path) -> None:
    with serving(tmp_path) as holder:
        os.kill(holder.process.pid, signal.SIGSTOP)
        try:
            assert f"in use by process {holder.process.pid}" in start_fails(tmp_path)
        finally:
            os.kill(holder.process.pid, signal.SIGCONT)


def test_no_worker_process_holds_a_descriptor_of_the_database(tmp_path: Path) -> None:
    app = application(tmp_path / "app", THREE_WAYS)
    data = tmp_path / "data"
    data.mkdir()
    with serving(data, str(app)) as server:
        assert server.ended(server.submit("isolated", {"text": "a"}))["result"] == {"output": "A"}
        workers = eventually(lambda: descendants(server.process.pid))
        assert any("tasks.db" in path for path in _open_files(server.process.pid))
        for worker in workers:
            assert not [path for path in _open_files(worker) if str(data) in path]


def _open_files(pid: int) -> list[str]:
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(descriptor))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found
