"""What does it cost that tasks belong together? The same ten thousand, plain and fanned out and in, in every way."""

import argparse
import time
from collections.abc import Callable, Iterator

from bench.client import Client
from bench.servers import wait_until
from bench.subject import APP, Taskmill
from taskmill.application import BUILTIN

TASK = {"action": "noop_inline", "data": {"text": "hello world"}}
ACTIONS = """

from taskmill import submit

@action
async def fan_out(tasks: int) -> int:
    for _ in range(tasks):
        await submit("noop_inline", {"text": "hello world"})
    return tasks

@action(inline=True)
def fan_in(batch: dict[str, object]) -> int:
    return len(batch["results"])
"""
TIMEOUT = 120.0
MOST_FOLLOWED = 1_000


class Fans(Taskmill):
    """The built-in application, with the actions of bench/app and two more."""

    def start(self) -> None:
        app = self.directory / "app"
        app.mkdir()
        (app / "_index.yaml").write_text((BUILTIN / "_index.yaml").read_text())
        (app / "actions.py").write_text((APP / "actions.py").read_text() + ACTIONS)
        self._arguments = [str(app)]
        super().start()


def is_over(client: Client, id_: str) -> bool:
    task = client.get(f"/tasks/{id_}")[1]
    assert not task["error"], task
    return bool(task["status"] == "completed")


def nothing_waits(client: Client) -> bool:
    left = (client.get(f"/tasks?status={status}&limit=1")[1] for status in ("queued", "running", "scheduled"))
    return not any(one["count"] for one in left)


def plain(client: Client, tasks: int) -> None:
    """In one request, and nobody waits for them together."""
    client.post("/tasks/bulk", {"tasks": [TASK] * tasks})
    wait_until(lambda: nothing_waits(client), TIMEOUT, "plain tasks", 0.005)


def batch(client: Client, tasks: int) -> None:
    """As a batch, to the end of the task that gets all results."""
    _, made = client.post("/batches", {"tasks": [TASK] * tasks, "on_complete": {"action": "fan_in"}})
    wait_until(lambda: is_over(client, made["on_complete"]), TIMEOUT, "a batch", 0.005)
    result = client.get(f"/tasks/{made['on_complete']}")[1]["result"]
    assert result == {"output": tasks}, result


def inside(client: Client, tasks: int) -> None:
    """Submitted by one action, in the transaction of its own result."""
    _, made = client.post("/tasks", {"action": "fan_out", "data": {"tasks": tasks}})
    wait_until(lambda: is_over(client, made["id"]), TIMEOUT, "an action that submits", 0.005)
    wait_until(lambda: nothing_waits(client), TIMEOUT, "what it submitted", 0.005)


def after(client: Client, tasks: int) -> None:
    """One task, all others after it, and one after the last thousand of those."""
    _, first = client.post("/tasks", {**TASK, "hold": 60})
    _, made = client.post("/tasks/bulk", {"tasks": [{**TASK, "after": [first["id"]]}] * tasks})
    _, last = client.post("/tasks", {**TASK, "after": made["ids"][-MOST_FOLLOWED:]})
    client.post(f"/tasks/{first['id']}/release", {})
    wait_until(lambda: is_over(client, last["id"]), TIMEOUT, "what follows", 0.005)
    wait_until(lambda: nothing_waits(client), TIMEOUT, "what follows", 0.005)


WAYS: dict[str, Callable[[Client, int], None]] = {
    "plain, by bulk": plain,
    "a batch and its last task": batch,
    "submitted by an action": inside,
    "after one task, one after them": after,
}


def measure(tasks: int, rounds: int) -> Iterator[tuple[str, float, float]]:
    """Give for each way the least seconds and the least seconds of CPU, of the server with all its processes."""
    for name, way in WAYS.items():
        found = []
        for _ in range(rounds):
            with Fans() as target, Client(target.port, TIMEOUT) as client:
                plain(client, 100)  # what is imported and prepared by the first tasks is not what is asked
                began, used = time.perf_counter(), target.cpu_seconds()
                way(client, tasks)
                found.append((time.perf_counter() - began, target.cpu_seconds() - used))
        yield name, min(one[0] for one in found), min(one[1] for one in found)


def table(tasks: int, rows: list[tuple[str, float, float]]) -> str:
    lines: list[str] = [
        f"| {tasks:,} tasks | seconds | CPU, s | a task, µs |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| {name} | {wall:.2f} | {cpu:.2f} | {1e6 * cpu / tasks:.0f} |" for name, wall, cpu in rows]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    print(table(given.tasks, list(measure(given.tasks, given.rounds))))


if __name__ == "__main__":
    main()
