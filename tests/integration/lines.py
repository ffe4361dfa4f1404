"""Applications whose actions write down when they start and stop, and ways to fill their queues."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from apps import application
from support import Server, eventually, serving

CONNECTIONS = 16

RECORDING = """
from taskmill import Retry, current_task

RECORD = os.open(os.environ["RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(word, label):
    os.write(RECORD, f"{time.monotonic()} {word} {current_task().id} {label}\\n".encode())

async def take(seconds, label=""):
    note("start", label)
    try:
        await asyncio.sleep(seconds)
    finally:
        note("stop", label)

@action
async def block(label: str = "block") -> None:
    note("start", label)
    while not os.path.exists(os.environ["RECORD"] + ".open"):
        await asyncio.sleep(0.005)
    note("stop", label)
"""

HELD = 7  # messages that the built-in consumer holds: 2 at work, 5 in reserve

SECOND_QUEUE = """
  - name: second_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: second
"""


class Span(NamedTuple):
    """One run of an action: when it started and stopped, in seconds."""

    id: str
    label: str
    start: float
    stop: float


class Recording:
    """What the actions of a server have written down."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def release(self) -> None:
        """Let tasks of `block` come to their end."""
        self._path.with_suffix(".open").touch()

    def starts(self) -> list[Span]:
        """Return every start, in order; one that has not stopped yet stops never."""
        found: list[Span] = []
        open_: dict[str, int] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            at, word, id_, label = line.split(" ", 3)
            if word == "start":
                open_[id_] = len(found)
                found.append(Span(id_, label, float(at), float("inf")))
            elif id_ in open_:
                place = open_.pop(id_)
                found[place] = found[place]._replace(stop=float(at))
        return found

    def ids(self) -> list[str]:
        """Return the tasks in the order of their starts."""
        return [span.id for span in self.starts()]

    def labels(self) -> list[str]:
        """Return the labels in the order of the starts."""
        return [span.label for span in self.starts()]


def most_at_once(spans: Sequence[Span]) -> int:
    """Return how many ran at the same time at most."""
    events = sorted([(span.start, 1) for span in spans] + [(span.stop, -1) for span in spans])
    running = most = 0
    for _, change in events:
        running += change
        most = max(most, running)
    return most


def most_in_window(spans: Sequence[Span], seconds: float) -> int:
    """Return how many started within any window of so many seconds, at most."""
    times = sorted(span.start for span in spans)
    first = most = 0
    for place, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, place - first + 1)
    return most


@contextmanager
def recording(directory: Path, actions: str, *arguments: str, index: str = "", weights: str = "") -> Iterator[
    tuple[Server, Recording]
]:  # fmt: skip
    """Serve an application of actions that take notes; ``index`` is added to it.

    ``weights`` makes the consumer one of several queues. A second call for the directory restarts it.
    """
    app = application(directory / "app", RECORDING + actions)
    declared = (app / "_index.yaml").read_text() + index
    if index:
        declared = declared.replace(
            "    queue: tasks_queue\n    host", "    queue: tasks_queue\n    queues: [second_queue]\n    host"
        )
    if weights:
        declared = declared.replace("    queue: tasks_queue\n    func", f"    queues: {weights}\n    func")
    (app / "_index.yaml").write_text(declared)
    record = directory / "record"
    with serving(directory, str(app), *arguments, env={"RECORD": str(record)}) as server:
        yield server, Recording(record)


def fill(url: str, bodies: Sequence[Any], connections: int = CONNECTIONS) -> list[str]:
    """Submit tasks, each of which must be accepted, and return their ids. One connection keeps their order."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    ids = [""] * len(bodies)

    async def client(first: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for place in range(first, len(bodies), connections):
            body = json.dumps(bodies[place]).encode()
            writer.write(
                b"POST /tasks HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
            assert head.startswith(b"HTTP/1.1 202"), answer
            ids[place] = json.loads(answer)["id"]
        writer.close()
        await writer.wait_closed()

    async def clients() -> None:
        await asyncio.gather(*map(client, range(connections)))

    asyncio.run(clients())
    return ids


def hold(server: Server, record: Recording, queue: str = "tasks") -> None:
    """Give the consumer as much as it may hold, so that what comes next waits until ``record.release()``."""
    fill(server.url, [{"action": "block", "queue": queue}] * HELD)
    eventually(lambda: record.labels()[-2:] == ["block"] * 2)


def rows(data: Path, sql: str) -> list[Any]:
    """Read the database of a server that has stopped."""
    import apsw

    connection = apsw.Connection(str(data / "tasks.db"))
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()
