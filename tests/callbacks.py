"""An application that tells a receiver how its tasks have ended."""

from __future__ import annotations

import json
from typing import Any

from receiver import Came, Receiver
from standardwebhooks import Webhook
from support import Server, eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
ENTRIES = f"""
  - name: hooks_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: hooks

  - name: hooks_workers
    kind: queue.consumer
    queue: hooks_queue
    func: process_task
    concurrency: 10

  - name: told
    kind: task.webhooks
    tasks: tasks
    queue: hooks_queue
    secret: {SECRET}
    allow: [127.0.0.1/32]
    backoff: [50ms]
    max_attempts: 4
"""
ACTIONS = """
@action(inline=True, max_attempts=1)
def shout(text: str = "hi", fail: bool = False) -> str:
    if fail:
        raise ValueError("as it was told")
    return text.upper()
"""


def verified(came: Came) -> Any:
    """Return what has come, once the verifier of another has found that it is signed."""
    return Webhook(SECRET).verify(came.body, came.headers)


def about(receiver: Receiver, id_: str) -> list[Came]:
    """Return what has come of a task."""
    return [came for came in list(receiver.came) if json.loads(came.body)["data"]["id"] == id_]


def told(receiver: Receiver, id_: str, timeout: float = 20.0) -> Any:
    """Wait until a task's end is told; return what is."""
    return verified(eventually(lambda: about(receiver, id_), timeout)[0])


def submit(server: Server, action: str = "shout", data: object = None, **options: Any) -> str:
    """Submit a task; it must be accepted."""
    answer = server.request("POST", "/tasks", {"action": action, "data": data or {}, **options})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def deliveries(server: Server, id_: str) -> list[dict[str, Any]]:
    """Return the tasks that tell of another, the newest first."""
    found: list[dict[str, Any]] = server.get(f"/tasks?action=taskmill.callback&key={id_}").json()["tasks"]
    return found


def delivery(server: Server, id_: str) -> dict[str, Any]:
    """Return the one task that tells of another, once it has ended."""
    (found,) = deliveries(server, id_)
    return server.ended(found["id"])
