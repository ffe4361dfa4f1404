"""F4: a flush fails. It is never taken for done later: whoever waits for it is refused, and the server ends."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apps import application
from durability import attached, check_kept, dying, exit_of, rows, wait_drained
from support import Answer, Server, eventually, serving

pytestmark = pytest.mark.fault

AT_ONCE = 24


def _post(server: Server, text: str) -> tuple[str, Answer | None]:
    try:
        body = {"action": "uppercase", "data": {"text": text}}
        return text, server.request("POST", "/tasks", body)
    except OSError:  # the server has ended
        return text, None


def test_F4_a_failed_flush_is_answered_with_503_and_ends_the_server(tmp_path: Path) -> None:
    with serving(tmp_path) as server, ThreadPoolExecutor(AT_ONCE) as clients:
        kept = {server.submit("uppercase", {"text": "before"}): {"output": "BEFORE"}}
        wait_drained(server)
        # The writer's thread makes all the flushes of commits; its first one from now on fails, and only that.
        with attached(server, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"):
            answers = list(clients.map(lambda number: _post(server, f"task-{number}"), range(AT_ONCE)))
            assert exit_of(server) == 1
        assert "cannot go on" in server.text()
        assert "tasks.db" in server.text()
        assert "look after the disk" in server.text()
    assert any(answer is not None and answer.status == 503 for _, answer in answers)
    for text, answer in answers:
        assert answer is None or answer.status == 503, (text, answer.body)
        if answer is not None:
            assert answer.headers["retry-after"]
    with serving(tmp_path) as server:
        id_ = server.submit("uppercase", {"text": "after"})
        kept[id_] = {"output": "AFTER"}
        wait_drained(server)
        assert server.terminate() == 0
    check_kept(tmp_path, kept)
    # What was refused may have reached the disk or not; it is there once at most.
    texts = [str(row.data) for row in rows(tmp_path).values()]
    assert len(texts) == len(set(texts))


def test_F4_a_result_whose_flush_fails_is_never_shown(tmp_path: Path) -> None:
    """The first flush, of the row, works; the second, of its result, fails."""
    second = ("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=2")
    with serving(tmp_path) as server, attached(server, *second):
        _, answer = _post(server, "hello")
        assert answer is not None
        assert answer.status == 202
        id_ = answer.json()["id"]
        assert exit_of(server) == 1
    with serving(tmp_path) as server:
        assert server.ended(id_)["result"] == {"output": "HELLO"}
        assert server.terminate() == 0


@pytest.mark.parametrize("file", ["tasks.db", "tasks.db-wal"])
def test_F4_a_checkpoint_whose_flush_fails_ends_the_server(tmp_path: Path, file: str) -> None:
    """Upkeep is no request: nobody waits for it, and yet its failure must not go by unseen."""
    env = {**dying(""), "CHECKPOINT_PAGES": "1"}  # one after each commit
    nth = {"tasks.db-wal": 2, "tasks.db": 3}[file]  # the commit's own flush, the log's, the database's
    with serving(tmp_path, env=env) as server:
        first = server.submit("uppercase", {"text": "first"})
        wait_drained(server)
        with attached(server, "-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={nth}"):
            answers = [_post(server, f"task-{number}")[1] for number in range(3)]
            assert exit_of(server) == 1
        assert "look after the disk" in server.text()
    accepted = [answer.json()["id"] for answer in answers if answer is not None and answer.status == 202]
    with serving(tmp_path) as server:
        for id_ in [first, *accepted]:
            assert server.ended(id_)["status"] == "completed"
        assert server.terminate() == 0


def test_F4_nothing_is_accepted_after_a_failed_flush(tmp_path: Path) -> None:
    """While a running task keeps the server from ending, it stays up, says so and refuses."""
    gate = tmp_path / "gate"
    app = application(
        tmp_path / "app",
        "@action\nasync def gated(gate: str) -> str:\n"
        "    while not os.path.exists(gate):\n        await asyncio.sleep(0.01)\n    return 'done'\n"
        "@action(inline=True)\ndef uppercase(text: str) -> str:\n    return text.upper()\n",
    )
    with serving(tmp_path, str(app)) as server:
        id_ = server.submit("gated", {"gate": str(gate)})
        eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
        with attached(server, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1"):
            _, refused = _post(server, "hello")
            assert refused is not None
            assert refused.status == 503
            for _ in range(5):
                _, later = _post(server, "again")
                assert later is None or later.status == 503
            gate.touch()
            assert exit_of(server, 30) == 1
    with serving(tmp_path, str(app)) as server:
        assert server.ended(id_)["result"] == {"output": "done"}
