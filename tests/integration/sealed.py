"""An application with every door by which a task is told something, and a look at all that its database keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import psycopg
import pymysql
from apps import application
from external import Worker
from nodes import MEMORY
from streams import Stream
from submitting import post, submit, until
from support import Server, eventually

ACTIONS = """
from taskmill import current_task, queue, step

@action(inline=True)
def same(text: str) -> str:
    return text

@action(inline=True)
def plenty(text: str) -> dict[str, Any]:
    return {"text": text}

@action(max_attempts=2, backoff=0)
def breaks(text: str) -> None:
    raise ValueError(text)

@action(max_attempts=1)
async def tells(text: str) -> None:
    task = current_task()
    task.progress(1, 2, text)
    task.log(text)
    await step("kept", asyncio.sleep, 0, text)

@action(batch=10, batch_wait="50ms")
async def many(items: list[dict[str, str]]) -> list[Any]:
    return [item["text"] for item in items]

@action(inline=True)
def sums(text: str, batch: dict[str, Any]) -> list[Any]:
    return [text, *(member["result"] for member in batch["results"])]

@action(inline=True, unique="replace")
def unique(text: str) -> str:
    return text

def bury(data: Any) -> bool:
    return False
"""
ENTRIES = """
  - name: letters
    kind: queue.queue
    driver: letters_driver
  - name: letters_driver
    kind: queue.driver.memory
  - name: bury
    kind: function.python
    source: file://actions.py
    method: bury
  - name: burying
    kind: queue.consumer
    queue: letters
    func: bury
  - name: outside_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: outside
  - name: outside
    kind: task.action
    tasks: tasks
    queue: outside_queue
    max_attempts: 1
"""
ENCRYPT = "    encrypt:\n      keys: ${env:TASKMILL_KEYS}\n"
SERVICE = "    kind: task.service\n"

# Where each of them is stored. A dead letter is there until it is acknowledged, which nobody does here.
PLACES = {
    "task.data", "task.result", "task.error", "attempt.error", "note.progress", "note.log", "step.result",
    "schedule.data", "dead_letter.error",
}  # fmt: skip


def sealed_application(
    directory: Path, database: str | None = None, driver: str = MEMORY, *, encrypt: bool = True
) -> Path:
    """Write the application over a database, and on a driver, into a directory."""
    application(directory, ACTIONS, database)
    index = directory / "_index.yaml"
    text = index.read_text().replace(
        "    queue_name: tasks\n", "    queue_name: tasks\n    dead_letter: letters\n"
    )
    assert SERVICE in text
    if encrypt:
        text = text.replace(SERVICE, SERVICE + ENCRYPT)
    assert MEMORY in text
    index.write_text(text.replace(MEMORY, driver) + ENTRIES)
    return directory


def fill(server: Server, marker: str) -> dict[str, str]:
    """Tell a task the marker by every door; return ids by what the tasks are for."""
    data = {"text": marker}
    ids = {action: submit(server, action, data) for action in ("same", "plenty", "breaks", "tells", "many")}
    ids["unique"] = submit(server, "unique", {"text": "first"}, key=marker[::-1], delay=3600)
    assert submit(server, "unique", data, key=marker[::-1], delay=3600) == ids["unique"]
    ids["held"] = submit(server, "same", data, hold=3600)
    ids["later"] = submit(server, "same", data, delay=3600, priority=5, tags=["shown"])
    assert post(server, "same", data, {"Idempotency-Key": marker[::-1]}).status == 202
    bulk = server.request("POST", "/tasks/bulk", {"tasks": [{"action": "same", "data": data}] * 3})
    assert bulk.status == 202, bulk.body
    line = b'{"action": "same", "data": {"text": "%s"}}\n' % marker.encode()
    streamed = server.request("POST", "/tasks/bulk", line * 2, {"Content-Type": "application/x-ndjson"})
    assert streamed.status == 200, streamed.body
    members = [{"action": "plenty", "data": data}, {"action": "same", "data": data}]
    batch = server.request(
        "POST", "/batches", {"tasks": members, "on_complete": {"action": "sums", "data": data}}
    )
    assert batch.status == 202, batch.body
    ids["sums"] = batch.json()["on_complete"]
    schedule = {"every": 3600, "action": "same", "data": data}
    assert server.request("PUT", f"/schedules/{marker[::-1]}", schedule).status in (200, 201)
    assert server.request("POST", f"/schedules/{marker[::-1]}/run").status in (200, 202)
    ids.update(_outside(server, marker))
    for action in ("same", "plenty", "tells", "many", "sums"):
        ended = server.ended(ids[action])
        assert (ended["status"], ended["data"]["text"], ended["error"]) == ("completed", marker, None)
    until(server, ids["breaks"], "failed")
    return ids


def _outside(server: Server, marker: str) -> dict[str, str]:
    worker = Worker(server, queue="outside")
    ids = {}
    for name in ("complete", "fail"):
        ids[f"outside_{name}"] = submit(server, "outside", {"text": marker})
        (task,) = eventually(worker.claim, 20)
        assert task["data"] == {"text": marker}
        assert worker.say("heartbeat", task, progress={"done": 1, "message": marker}, log=[marker]) == 200
        what: dict[str, Any] = {"result": {"text": marker}}
        if name == "fail":
            what = {"error": {"type": "Broken", "message": marker}, "retry": False}
        assert worker.say(name, task, **what) == 200
    worker.close()
    return ids


def check_shown(server: Server, ids: dict[str, str], marker: str) -> None:
    """See that whoever may read a task reads what it was told."""
    shown = {name: server.get(f"/tasks/{id_}").json() for name, id_ in ids.items()}
    assert {task["data"]["text"] for task in shown.values()} == {marker}
    assert shown["same"]["result"] == {"output": marker}
    assert shown["plenty"]["result"] == shown["outside_complete"]["result"] == {"text": marker}
    assert shown["sums"]["result"] == {"output": [marker, {"text": marker}, {"output": marker}]}
    assert shown["breaks"]["error"]["message"] == shown["outside_fail"]["error"]["message"] == marker
    assert [attempt["error"]["message"] for attempt in shown["breaks"]["attempts"]] == [marker] * 2
    assert shown["tells"]["progress"]["message"] == marker
    assert marker in server.get(f"/tasks/{ids['tells']}/log").body.decode()
    with Stream(server.url, f"/tasks/{ids['tells']}/events") as stream:
        assert [event.data["message"] for event in stream.rest() if event.name != "status"] == [marker] * 2
    with Stream(server.url, f"/tasks/{ids['breaks']}/events") as stream:
        assert stream.rest()[-1].data["error"]["message"] == marker
    assert server.get(f"/schedules/{marker[::-1]}").json()["data"] == {"text": marker}
    listed = {task["id"]: task["data"] for task in server.get("/tasks?limit=1000").json()["tasks"]}
    assert {listed[id_]["text"] for id_ in ids.values()} == {marker}


def kept(place: Path | str, marker: str) -> set[str]:
    """Return the columns of a database in which a text stands."""
    return {name for name, value in _cells(place) if marker in value}


def keys_in(place: Path | str) -> set[str]:
    """Return the ids of the keys that something in a database is encrypted with, apart from the list of them."""
    found = (re.match("tm1:([^:]+):", value) for name, value in _cells(place) if name != "seal_key.sample")
    return {match[1] for match in found if match}


def _cells(place: Path | str) -> Iterator[tuple[str, str]]:
    for table, columns, rows in _tables(place):
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                binary = isinstance(value, bytes | bytearray | memoryview)
                yield f"{table}.{column}", bytes(value).decode("latin-1") if binary else str(value)


def _tables(place: Path | str) -> Iterator[tuple[str, list[str], list[Any]]]:
    if isinstance(place, Path):
        file = apsw.Connection(str(place), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            for (table,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                columns = [name for _, name, *_ in file.execute(f'PRAGMA table_info("{table}")')]
                yield table, columns, file.execute(f'SELECT * FROM "{table}"').fetchall()
        finally:
            file.close()
        return
    run: Callable[[str], Any]
    if place.startswith("postgresql:"):
        connection: Any = psycopg.connect(place)
        run, schema, mark = connection.execute, "current_schema()", '"'
    else:
        url = urlsplit(place)
        connection = pymysql.connect(host="127.0.0.1", port=url.port or 0, user="root", database=url.path[1:])
        schema, mark = "database()", "`"

        def run(sql: str) -> Any:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor

    with connection:
        names = run(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}"
        ).fetchall()
        for (table,) in names:
            cursor = run(f"SELECT * FROM {mark}{table}{mark}")
            yield table, [one[0] for one in cursor.description], cursor.fetchall()


def in_files(directory: Path, marker: str) -> list[str]:
    """Return the files below a directory in which a text stands."""
    wanted = marker.encode()
    return sorted(
        path.name for path in directory.rglob("*") if path.is_file() and wanted in path.read_bytes()
    )
