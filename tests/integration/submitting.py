"""What the tests of retries, keys and timeouts share: submissions with options, and the times in answers."""

from datetime import datetime
from typing import Any

from support import Answer, Server, eventually


def post(server: Server, action: str, data: object = None, headers: Any = None, **options: Any) -> Answer:
    """Submit a task with options; return the answer, whatever it is."""
    body = {"action": action, "data": {} if data is None else data, **options}
    return server.request("POST", "/tasks", body, headers)


def submit(server: Server, action: str, data: object = None, **options: Any) -> str:
    """Submit a task with options, which must be accepted; return its id."""
    answer = post(server, action, data, **options)
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def look(server: Server, id_: str) -> dict[str, Any]:
    """Return a task as it is now."""
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


def until(server: Server, id_: str, status: str, attempt: int = 0, timeout: float = 20) -> dict[str, Any]:
    """Wait until a task is in a state, in an attempt at least; return it."""

    def there() -> dict[str, Any] | None:
        task = look(server, id_)
        return task if task["status"] == status and task["attempt"] >= attempt else None

    found = eventually(there, timeout)
    assert found is not None
    return found


def between(earlier: str | None, later: str | None) -> float:
    """Return the seconds between two times of an answer, to the millisecond that they are given in."""
    assert earlier is not None
    assert later is not None
    return round((datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds(), 3)
