"""An application with actions that only workers outside serve, and such a worker for tests."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support import Server

ACTIONS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()

@action
async def takes(seconds: float) -> None:
    await asyncio.sleep(seconds)
"""

ENTRIES = """
  - name: images_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: images

  - name: resize
    kind: task.action
    tasks: tasks
    queue: images_queue
    description: Make an image smaller.
    schema:
      type: object
      properties: {url: {type: string}, width: {type: integer, minimum: 1}}
      required: [url]
      additionalProperties: false
    backoff: [50ms]

  - name: crop
    kind: task.action
    tasks: tasks
    queue: images_queue
    max_attempts: 1

  - name: two
    kind: task.action
    tasks: tasks
    queue: images_queue
    concurrency: 2

  - name: brief
    kind: task.action
    tasks: tasks
    queue: images_queue
    timeout: 300ms
    max_attempts: 1
"""


def declare(application: Path, entries: str = ENTRIES) -> Path:
    """Add entries to an application, and return it."""
    index = application / "_index.yaml"
    index.write_text(index.read_text() + entries)
    return application


class Worker:
    """A worker on one connection. Each call answers what the server says."""

    def __init__(self, server: Server, name: str = "w", queue: str = "images") -> None:
        parts = urlsplit(server.url)
        assert parts.hostname
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.name = name
        self.queue = queue

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """Send a body; return the status and the answer."""
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def claim(self, limit: int = 1, wait: float = 10.0, lease: float = 30.0, **fields: Any) -> list[Any]:
        """Claim tasks; the server must grant that."""
        body = {"worker": self.name, "limit": limit, "wait": wait, "lease": lease, **fields}
        status, answer = self.post(f"/queues/{self.queue}/claim", body)
        assert status == 200, answer
        tasks: list[Any] = answer["tasks"]
        return tasks

    def say(self, what: str, task: Any, **fields: Any) -> int:
        """Say something of a claimed task; return the status."""
        return self.post(f"/tasks/{task['id']}/{what}", {"lease": task["lease"], **fields})[0]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
