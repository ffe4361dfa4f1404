"""F2: the server kills itself at each named instant on the way of one task."""

import http.client
import os
import signal
import urllib.error
from pathlib import Path

import pytest
from apps import application
from durability import dying, exit_of, rows, wait_drained
from support import Server, serving

pytestmark = pytest.mark.fault

MARK = "crash-here"

# Writes down each run, so that a task which runs twice is seen to have one result all the same.
ACTIONS = """
def ran(text: str) -> str:
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(text + "\\n")
        return f"{text.upper()} in {os.getpid()}"

@action(inline=True)
def inline(text: str) -> str:
    return ran(text)

@action
async def on_the_loop(text: str) -> str:
    return ran(text)

@action
def isolated(text: str) -> str:
    return ran(text)
"""

# Instant: whether the client may have its 202 by then, whether the task must be there, and its runs.
INSTANTS = {
    "before-commit": (False, False, {0}),
    "after-commit": (False, True, {1}),
    "after-publish": (True, True, {1, 2}),
    "result-computed": (True, True, {2}),
    "before-finish": (True, True, {2}),
    "finish-committed": (True, True, {1}),
}


# Where an action runs matters from its result on; CI, which raises the number of kills, tries it all.
WAYS = ("inline", "on_the_loop", "isolated")
THOROUGH = int(os.environ.get("TASKMILL_KILLS", "4")) > 4
CASES = [
    (instant, action)
    for instant in INSTANTS
    for action in WAYS
    if THOROUGH or action == "inline" or instant == "result-computed"
]


@pytest.mark.parametrize(("instant", "action"), CASES)
def test_F2_crash_at_a_named_instant(tmp_path: Path, instant: str, action: str) -> None:
    may_answer, must_exist, allowed_runs = INSTANTS[instant]
    app = application(tmp_path / "app", ACTIONS)
    runs = tmp_path / "runs"
    runs.touch()
    data = tmp_path / "data"
    data.mkdir()
    env = {"RUNS": str(runs)}
    with serving(data, str(app), env={**env, **dying(instant, MARK)}) as server:
        before = server.submit(action, {"text": "before"})
        first = server.ended(before)
        answered = _submit_and_die(server, action)
        assert exit_of(server) == -signal.SIGKILL, server.text()
    assert may_answer or answered is None
    with serving(data, str(app), env=env) as server:
        wait_drained(server)
        assert server.get(f"/tasks/{before}").json() == first
        assert server.terminate() == 0
    found = rows(data)
    marked = {id_: row for id_, row in found.items() if row.data == {"text": MARK}}
    assert len(marked) == must_exist
    assert len(found) == 1 + must_exist
    assert answered is None or answered in marked
    for row in marked.values():
        assert (row.status, row.error) == ("completed", None)
        assert str(row.result).startswith("{'output': '" + MARK.upper() + " in ")
    ran = runs.read_text().split()
    assert ran.count(MARK) in allowed_runs
    assert ran.count("before") == 1


def _submit_and_die(server: Server, action: str) -> str | None:
    """Submit the marked task and return its id if a 202 came, None if the connection broke."""
    try:
        return server.submit(action, {"text": MARK})
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
        return None


def test_F2_the_stored_result_is_the_one_read_for_ever(tmp_path: Path) -> None:
    """A result that a reader has seen is not replaced by a later run, though its message was never acknowledged."""
    app = application(tmp_path / "app", ACTIONS)
    data = tmp_path / "data"
    data.mkdir()
    env = {"RUNS": str(tmp_path / "runs")}
    with serving(data, str(app), env=env) as server:
        ids = [server.submit("isolated", {"text": f"task-{number}"}) for number in range(20)]
        seen = {id_: server.ended(id_)["result"] for id_ in ids}
        server.kill()
    with serving(data, str(app), env=env) as server:
        wait_drained(server)
        assert {id_: server.get(f"/tasks/{id_}").json()["result"] for id_ in ids} == seen
