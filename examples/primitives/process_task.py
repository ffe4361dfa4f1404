"""The worker: runs a task and stores its result."""

from typing import Any

from migrate import tasks
from sqlalchemy import insert

from taskmill import queue, sql


def process_task(task: dict[str, Any]) -> bool:
    """Return true when the result is stored. False, or an exception, has the message delivered again."""
    message = queue.message()
    try:
        status, result = "completed", {"output": run(task["action"], task["data"])}
    except (KeyError, TypeError, AttributeError) as error:  # it would fail again: that is its result
        status, result = "failed", {"error": f"{type(error).__name__}: {error}"}
    row = {
        "id": message.id(),
        "action": task["action"],
        "data": task["data"],
        "status": status,
        "result": result,
        "created_at": float(message.headers()["created-at"]),
    }
    try:
        with sql.get("app:db") as db:
            # A message may come twice, such as after a crash between this and the acknowledgement.
            db.execute(insert(tasks).prefix_with("OR IGNORE").values(row))
    except sql.DatabaseUnavailable:  # a full disk, say: later
        return False
    return True


def run(action: str, data: Any) -> Any:
    """Do what the task asks for."""
    if action == "uppercase":
        return data["text"].upper()
    if action == "sum":
        return sum(data["numbers"])
    return "processed"
