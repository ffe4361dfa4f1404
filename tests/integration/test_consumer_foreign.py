"""A message on the task queue that is no task is dropped with a line in the log, and costs nothing else."""

from pathlib import Path

from apps import application
from support import serving

ACTIONS = """
from taskmill import queue

@action
async def intrude() -> None:
    for number in range(10):
        await queue.publish("app:tasks_queue", {"number": number})

@action
def isolated(number: int) -> int:
    return number

@action(inline=True)
def inline(number: int) -> int:
    return number
"""


def test_foreign_messages_cost_no_slot_and_no_task(tmp_path: Path) -> None:
    app = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path / "data", str(app), directory=tmp_path) as server:
        ids = []
        for number in range(15):
            ids += [server.submit(name, {"number": number}) for name in ("isolated", "inline")]
            ids += [server.submit("intrude")] if number % 5 == 0 else []
        assert {server.ended(id_)["status"] for id_ in ids} == {"completed"}
        assert server.terminate() == 0
        assert server.text().count("it is no task") == 30
