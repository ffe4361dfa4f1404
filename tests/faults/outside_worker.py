"""A worker outside, as a process that can be frozen and killed: claims one task, says so, and completes it when told.

Arguments: the server's url, its name, the seconds of its lease. It prints the task as JSON, waits for a line on its
standard input, completes the task with its own name, and prints the status of the answer.
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


def main(url: str, name: str, lease: str) -> None:
    body = {"worker": name, "wait": 30, "lease": float(lease)}
    _, answer = post(f"{url}/queues/images/claim", body)
    (task,) = answer["tasks"]
    print(json.dumps(task), flush=True)
    sys.stdin.readline()
    status, _ = post(f"{url}/tasks/{task['id']}/complete", {"lease": task["lease"], "result": name})
    print(status, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
