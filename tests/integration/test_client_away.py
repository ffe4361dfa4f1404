"""A server that goes and comes again, and one that is full: nothing is lost, and nothing submitted twice."""

import os
import threading
from pathlib import Path

import pytest
from apps import application
from either_client import KINDS, client
from support import eventually, serving

from taskmill.client import ProblemError, Submission

TASKS = 400
KILLS = min(5, int(os.environ.get("TASKMILL_KILLS", "1")))

ACTIONS = """
@action
async def nap(number: int) -> int:
    await asyncio.sleep(0.02)
    return number
"""

both = pytest.mark.parametrize("kind", KINDS)


@both
@pytest.mark.fault
def test_a_server_that_is_killed_meanwhile_has_each_task_once(kind: str, tmp_path: Path) -> None:
    ids: list[str] = []
    failures: list[BaseException] = []
    url = ""

    def submit() -> None:
        try:
            with client(kind, url, connections=8) as mill:
                for first in range(0, TASKS, 50):
                    handles = mill.submit_many(
                        Submission("uppercase", {"text": str(number)}, tags=["counted"])
                        for number in range(first, first + 50)
                    )
                    ids.extend(handle.id for handle in handles)
        except BaseException as failure:
            failures.append(failure)

    submitter = threading.Thread(target=submit)
    for kill in range(KILLS + 1):
        with serving(tmp_path, *(["--addr", url.partition("//")[2]] if url else [])) as server:
            if not url:
                url = server.url
                submitter.start()
            if kill < KILLS:
                goal = TASKS * (kill + 1) // (KILLS + 2)
                eventually(lambda goal=goal: len(ids) >= goal or failures, 30)  # type: ignore[misc]
                server.kill()
                continue
            submitter.join(60)
            assert failures == []
            with client(kind, url) as mill:
                listed = list(mill.list(tag="counted"))
                assert sorted(task.id for task in listed) == sorted(ids)
                assert sorted(int(task.data["text"]) for task in listed) == list(range(TASKS))
                assert mill.result(ids[-1], 20) == str(TASKS - 1)


@both
def test_a_full_server_is_waited_for_as_it_says(kind: str, tmp_path: Path) -> None:
    full = ["-o", "app:tasks:max_backlog=20"]
    directory = application(tmp_path / "app", ACTIONS)
    with (
        serving(tmp_path, *full, directory=directory) as server,
        client(kind, server.url, retry_for=90) as mill,
        client(kind, server.url, retry_for=0) as hasty,
    ):
        for handle in mill.submit_many(Submission("nap", {"number": number}) for number in range(20)):
            handle.wait(30)  # so that the server knows its pace
        many = threading.Thread(
            target=lambda: handles.extend(
                mill.submit_many(Submission("nap", {"number": number}) for number in range(60))
            )
        )
        handles: list[object] = []
        many.start()
        refusals: list[ProblemError] = []

        def refused() -> bool:
            try:
                hasty.submit("nap", {"number": -1})
            except ProblemError as refusal:
                refusals.append(refusal)
            return bool(refusals) or not many.is_alive()

        eventually(refused, 30)
        many.join(80)
        assert len(handles) == 60
        assert refusals, "the server was never full"
        assert (refusals[0].status, refusals[0].retry_after) == (503, 1)
        numbers = [task.data["number"] for task in mill.list(action="nap")]
        assert sorted(number for number in numbers if number >= 0) == sorted([*range(20), *range(60)])
