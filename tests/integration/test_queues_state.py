"""`GET /queues`: what it counts is what there is."""

from pathlib import Path
from typing import Any

from queues_apart import with_mail
from support import Server, eventually, serving

ACTIONS = """
@action
async def slow() -> None:
    await asyncio.sleep(60)

@action(inline=True)
def quick() -> None:
    pass
"""


def queue(server: Server, name: str) -> dict[str, Any]:
    """Return a queue's state once it has been counted anew."""
    seen = server.get(f"/queues/{name}").json()["counted_at"]
    eventually(lambda: server.get(f"/queues/{name}").json()["counted_at"] != seen)
    state: dict[str, Any] = server.get(f"/queues/{name}").json()
    return state


def test_depth_age_consumers_and_pause_of_each_queue(tmp_path: Path) -> None:
    with serving(tmp_path, directory=with_mail(tmp_path / "app", ACTIONS)) as server:
        empty = server.get("/queues").json()
        assert empty["count"] == 2
        assert [one["name"] for one in empty["queues"]] == ["mail", "tasks"]
        for one in empty["queues"]:
            assert one["depth"] == {"queued": 0, "scheduled": 0, "running": 0}
            assert (one["oldest"], one["running"], one["consumers"], one["paused"]) == (None, 0, 1, None)
        for name in ("tasks", "mail"):
            server.request("POST", f"/queues/{name}/pause", {"by": name})
        for number in range(30):
            server.submit("quick")
            server.request("POST", "/tasks", {"action": "quick", "priority": number % 10})
            if number % 2:
                server.request("POST", "/tasks", {"action": "quick", "queue": "mail"})
                server.request("POST", "/tasks", {"action": "quick", "queue": "mail", "delay": 60})
        queue(server, "mail")
        mail, tasks = server.get("/queues").json()["queues"]
        assert tasks["depth"] == {"queued": 60, "scheduled": 0, "running": 0}
        assert mail["depth"] == {"queued": 15, "scheduled": 15, "running": 0}
        assert 0 < mail["oldest"] < tasks["oldest"] < 60
        assert (tasks["paused"]["by"], mail["paused"]["by"]) == ("tasks", "mail")
        server.request("POST", "/queues/mail/resume")
        eventually(lambda: queue(server, "mail")["depth"]["queued"] == 0)
        assert queue(server, "mail")["oldest"] is None


def test_running_tasks_are_counted_in_their_queue(tmp_path: Path) -> None:
    with serving(tmp_path, directory=with_mail(tmp_path / "app", ACTIONS)) as server:
        server.submit("slow")
        server.request("POST", "/tasks", {"action": "slow", "queue": "mail"})
        for name in ("tasks", "mail"):
            eventually(lambda name=name: queue(server, name)["running"] == 1)  # type: ignore[misc]
            assert queue(server, name)["depth"] == {"queued": 0, "scheduled": 0, "running": 1}


def test_a_task_that_is_run_again_has_not_waited_since_it_was_made(tmp_path: Path) -> None:
    with serving(tmp_path, directory=with_mail(tmp_path / "app", ACTIONS)) as server:
        server.request("POST", "/queues/tasks/pause")
        id_ = server.submit("quick")
        eventually(lambda: queue(server, "tasks")["oldest"] > 1)
        server.request("POST", f"/tasks/{id_}/cancel")
        assert queue(server, "tasks")["oldest"] is None
        server.request("POST", f"/tasks/{id_}/retry")
        assert queue(server, "tasks")["oldest"] < 1
