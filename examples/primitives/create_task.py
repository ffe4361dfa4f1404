"""``POST /tasks``: publishes a task to the queue."""

import time
from typing import Any

from starlette.requests import Request

from taskmill import queue


async def create_task(request: Request) -> tuple[int, dict[str, str]]:
    """Answer 202 with the task's id, which is that of its message."""
    try:
        body = await request.json()
    except ValueError:
        return 400, {"error": "the body is not JSON"}
    action: Any = body.get("action") if isinstance(body, dict) else None
    if not action or not isinstance(action, str):
        return 400, {"error": 'name an action: {"action": "uppercase", "data": {"text": "hello"}}'}
    task = {"action": action, "data": body.get("data", {})}
    try:
        published = await queue.publish("app:tasks_queue", task, {"created-at": str(time.time())})
    except queue.QueueFull:  # with `when_full: refuse`; by default publishing waits for room
        return 503, {"error": "too many tasks wait; try again later"}
    return 202, {"id": published.id, "status": "queued"}
