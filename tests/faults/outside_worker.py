"""A worker outside, as a process that can be frozen and killed: claims one task, says so, and completes it when told.

Arguments: the server's url, its name, the seconds of its lease. It prints the task as JSON, waits for a line on its
standard input, completes the task with its own name, and prints the status of the answer. With a number as the fourth
argument it claims so many, says how far each has come, completes all with one request each, and prints both answers.
"""

import json
import sys
import urllib.error
import urllib.request
from typing import Any


def post(url: str, body: object) -> tuple[int, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def claim(url: str, name: str, lease: str, limit: int) -> list[Any]:
    body = {"worker": name, "wait": 30, "lease": float(lease), "limit": limit}
    _, answer = post(f"{url}/queues/images/claim", body)
    tasks: list[Any] = answer["tasks"]
    print(json.dumps(tasks if limit > 1 else tasks[0]), flush=True)
    sys.stdin.readline()
    return tasks


def one(url: str, name: str, lease: str) -> None:
    (task,) = claim(url, name, lease, 1)
    status, _ = post(f"{url}/tasks/{task['id']}/complete", {"lease": task["lease"], "result": name})
    print(status, flush=True)


def many(url: str, name: str, lease: str, limit: str) -> None:
    own = [{"id": task["id"], "lease": task["lease"]} for task in claim(url, name, lease, int(limit))]
    said = [{**task, "progress": {"done": 1, "message": name}, "log": [name]} for task in own]
    results = [{**task, "result": name} for task in own]
    answers = [post(f"{url}/tasks/{what}", {"tasks": body})[1]
               for what, body in (("heartbeat", said), ("complete", results))]  # fmt: skip
    print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    (one if len(sys.argv) == 4 else many)(*sys.argv[1:])
