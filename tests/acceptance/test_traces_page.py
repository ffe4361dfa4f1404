"""Traces of a real server, taken by a real OTLP receiver: one from the client through submission, runs and retries."""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from collector import Collector, Span, collecting
from nodes import POSTGRES, cluster
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from readme_lines import ROOT, Example, curl
from support import Server, eventually, serving

from taskmill.client import AsyncClient, Client, Submission
from taskmill.tasks.sealing.keys import new_key

ACTIONS = """
import logging
from opentelemetry import trace
from taskmill import Fail, Retry, current_task, submit
from taskmill.client import AsyncClient, Client
tracer = trace.get_tracer("shop")

@action(inline=True)
def quick(note: str = "") -> str:
    with tracer.start_as_current_span("in quick"):
        logging.getLogger("shop").info("said")
        return note

@action
async def waits(note: str = "") -> str:
    await asyncio.sleep(0)
    with tracer.start_as_current_span("in waits"):
        logging.getLogger("shop").info("said")
        return note

@action
def apart(note: str = "") -> str:
    with tracer.start_as_current_span("in apart"):
        logging.getLogger("shop").info("said")
        return note

@action(max_attempts=2, backoff="1ms")
def flaky(fast: bool = False) -> int:
    if current_task().attempt == 1:
        raise ValueError("not yet")
    return os.getpid()

@action(inline=True, max_attempts=1)
def fails() -> None:
    raise Fail("no such shop")

@action(max_attempts=2)
async def again() -> None:
    if current_task().attempt == 1 and not os.path.exists("again"):
        open("again", "w").close()
        raise Retry(after="1ms", counts=False)

@action
async def family(url: str) -> str:
    async with AsyncClient(url) as client:
        return (await client.submit("quick", {"note": "child"})).id

@action
def clan(url: str) -> str:
    with Client(url) as client:
        return client.submit("quick", {"note": "child"}).id

@action(inline=True)
def heir() -> str:
    return str(submit("quick", {"note": "child"}))

@action
def heir_apart() -> str:
    return str(submit("quick", {"note": "child"}))

@action(inline=True)
def sums_up(batch: dict[str, Any]) -> None:
    pass

@action
async def long() -> None:
    await asyncio.sleep(60)

@action(batch=2, batch_wait="5s")
def together(items: list[dict[str, str]]) -> list[str]:
    with tracer.start_as_current_span("in together"):
        return ["ok"] * len(items)

@action(batch=2, batch_wait="5s")
async def jointly(items: list[dict[str, str]]) -> list[str]:
    with tracer.start_as_current_span("in jointly"):
        return ["ok"] * len(items)

@action
def killed(file: str) -> str:
    if not os.path.exists(file):
        open(file, "w").close()
        time.sleep(60)
    return "after all"
"""
OUTSIDE = """
  - {name: far_queue, kind: queue.queue, driver: queue_driver, queue_name: far}
  - {name: paint, kind: task.action, tasks: tasks, queue: far_queue}
  - {name: hooks_queue, kind: queue.queue, driver: queue_driver, queue_name: hooks}
  - {name: hooks_workers, kind: queue.consumer, queue: hooks_queue, func: process_task}
  - name: webhooks
    kind: task.webhooks
    tasks: tasks
    queue: hooks_queue
    secret: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz
"""
PAGE = (ROOT / "docs" / "how-to" / "traces.md").read_text()
ON = ("-o", "app:otel:lifecycle.auto_start=true")
ENV = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_RESOURCE_ATTRIBUTES": "deployment=test"}
SEND, PROCESS = "send tasks", "process tasks"


def blocks(language: str) -> list[str]:
    return [str(found) for found in re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module")
def server(collector: Collector, place: Path) -> Iterator[Server]:
    app = application(place / "app", ACTIONS + blocks("python")[1])
    (entry,) = blocks("yaml")
    index = (app / "_index.yaml").read_text().replace("- name: otel\n", "- name: off\n")
    address = "http://localhost:4318"
    assert address in entry
    (app / "_index.yaml").write_text(index + entry.replace(address, collector.url) + OUTSIDE)
    with serving(place, "--log-format", "json", directory=app, env=ENV) as running:
        yield running


@pytest.fixture
def root() -> Iterator[tuple[str, str]]:
    """A span of the caller's own: the ids of its trace and of itself."""
    with TracerProvider().get_tracer("test").start_as_current_span("caller") as span:
        found = span.get_span_context()
        yield trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)


def headers(state: str = "") -> tuple[str, dict[str, str]]:
    """Make a trace by hand; return its id, and what tells of it."""
    id_ = os.urandom(16).hex()
    said = {"traceparent": f"00-{id_}-{os.urandom(8).hex()}-01"}
    return id_, {**said, **({"tracestate": state} if state else {})}


def submit(server: Server, action: str, said: dict[str, str], **body: Any) -> str:
    answer = server.request("POST", "/tasks", {"action": action, **body}, said)
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def check_send(span: Span, id_: str, action: str) -> None:
    assert span.kind == "PRODUCER"
    assert span.service == "shop"
    assert span.fields == {
        "messaging.system": "taskmill", "messaging.operation.name": "send", "messaging.operation.type": "send",
        "messaging.destination.name": "tasks", "messaging.message.id": id_, "taskmill.action": action,
    }  # fmt: skip


@pytest.mark.parametrize("action", ["quick", "waits", "apart"])
@pytest.mark.parametrize("options", [{}, {"priority": 5}])
def test_one_trace_from_the_client_to_what_the_action_does(
    server: Server, collector: Collector, root: tuple[str, str], action: str, options: dict[str, Any]
) -> None:
    with Client(server.url) as client:
        handle = client.submit(action, {"note": "hi"}, **options)
        assert handle.result(timeout=30) == "hi"
    trace_id, caller = root
    send, process, inside = collector.wait(trace_id, SEND, PROCESS, f"in {action}")
    check_send(send, handle.id, action)
    assert send.parent == caller
    assert (process.kind, process.parent, inside.parent) == ("CONSUMER", send.id, process.id)
    assert process.fields["messaging.operation.type"] == "process"
    assert process.fields["messaging.message.id"] == handle.id
    assert process.fields["taskmill.attempt"] == 1
    assert process.fields["taskmill.outcome"] == "completed"
    assert 0 <= process.fields["taskmill.waited"] < 30
    assert not process.failed
    assert inside.service == "shop"
    lines = eventually(lambda: [json.loads(line) for line in list(server.log) if handle.id in line])
    assert [(line["trace_id"], line["span_id"]) for line in lines] == [(trace_id, inside.id)]


def test_the_other_client_tells_of_its_span_too(
    server: Server, collector: Collector, root: tuple[str, str]
) -> None:
    async def ask() -> str:
        async with AsyncClient(server.url) as client:
            return (await client.submit("quick", {"note": "hi"})).id

    id_ = asyncio.run(ask())
    (send,) = collector.wait(root[0], SEND)
    assert (send.parent, send.fields["messaging.message.id"]) == (root[1], id_)


@pytest.mark.parametrize("options", [{}, {"queue": "tasks"}])
def test_each_attempt_is_a_span_of_the_same_trace(
    server: Server, collector: Collector, options: dict[str, Any]
) -> None:
    trace_id, said = headers()
    task = server.ended(submit(server, "flaky", said, **options))
    assert task["status"] == "completed"
    send, first, second = collector.wait(trace_id, SEND, PROCESS, PROCESS)
    assert {first.parent, second.parent} == {send.id}
    assert [span.fields["taskmill.attempt"] for span in (first, second)] == [1, 2]
    assert [span.fields["taskmill.outcome"] for span in (first, second)] == ["retried", "completed"]
    assert (first.failed, second.failed) == (True, False)
    assert first.fields["error.type"] == "ValueError"
    assert first.events == ["exception"]


def test_a_failure_is_an_error_and_a_retry_on_purpose_is_none(server: Server, collector: Collector) -> None:
    failed, again = headers(), headers()
    assert server.ended(submit(server, "fails", failed[1]))["status"] == "failed"
    assert server.ended(submit(server, "again", again[1]))["status"] == "completed"
    (span,) = collector.wait(failed[0], PROCESS)
    assert (span.failed, span.fields["error.type"], span.fields["taskmill.outcome"]) == (
        True,
        "Fail",
        "failed",
    )
    first, second = collector.wait(again[0], PROCESS, PROCESS)
    assert [first.failed, second.failed] == [False, False]
    assert first.fields["taskmill.outcome"] == "retried"


@pytest.mark.parametrize("action", ["family", "clan", "heir", "heir_apart"])
def test_tasks_that_an_action_submits_are_of_its_trace(
    server: Server, collector: Collector, action: str
) -> None:
    trace_id, said = headers()
    task = server.ended(submit(server, action, said, data={} if "heir" in action else {"url": server.url}))
    assert task["status"] == "completed", task
    spans = collector.wait(trace_id, SEND, PROCESS, SEND, PROCESS)
    parent, child = task["id"], task["result"]["output"]
    by = {(span.name, span.fields["messaging.message.id"]): span for span in spans}
    assert by[PROCESS, parent].parent == by[SEND, parent].id
    assert by[SEND, child].parent == by[PROCESS, parent].id
    assert by[PROCESS, child].parent == by[SEND, child].id


def test_telling_of_an_end_is_of_the_trace_of_what_ended(server: Server, collector: Collector) -> None:
    (one, said), (many, also) = headers(), headers()
    body = {"action": "quick", "callback": "https://shop.invalid/hooks"}
    submit(server, "quick", said, callback=body["callback"])
    assert server.request("POST", "/tasks/bulk", {"tasks": [body]}, also).status == 202
    for trace_id in (one, many):
        send, _, told = collector.wait(trace_id, SEND, PROCESS, "process hooks")
        assert told.parent == send.id
        assert told.fields["taskmill.action"] == "taskmill.callback"


def test_what_is_cancelled_has_its_span(server: Server, collector: Collector) -> None:
    trace_id, said = headers()
    id_ = submit(server, "long", said)
    eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
    assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
    (span,) = collector.wait(trace_id, PROCESS)
    assert span.fields["taskmill.outcome"] == "cancelled"


def test_many_at_once_are_one_submission(server: Server, collector: Collector, root: tuple[str, str]) -> None:
    with Client(server.url) as client:
        handles = client.submit_many(Submission("quick", {"note": str(number)}) for number in range(5))
        assert [handle.result(timeout=30) for handle in handles] == ["0", "1", "2", "3", "4"]
    send, *attempts = collector.wait(root[0], SEND, *[PROCESS] * 5)
    assert send.parent == root[1]
    assert send.fields["messaging.batch.message_count"] == 5
    assert {span.parent for span in attempts} == {send.id}
    assert {span.fields["messaging.message.id"] for span in attempts} == {handle.id for handle in handles}


@pytest.mark.parametrize("lines", [False, True])
def test_a_document_and_lines_are_traced_also_with_tasks_of_all_sorts(
    server: Server, collector: Collector, lines: bool
) -> None:
    trace_id, said = headers()
    bodies = [
        {"action": "quick"},
        {"action": "quick", "priority": 3},
        {"action": "quick", "key": f"k{lines}"},
    ]
    if lines:
        text = "\n".join(map(json.dumps, bodies)).encode()
        answer = server.request("POST", "/tasks/bulk", text, {**said, "Content-Type": "application/x-ndjson"})
        assert answer.body.count(b'"id"') == 3
    else:
        assert server.request("POST", "/tasks/bulk", {"tasks": bodies}, said).status == 202
    send, *attempts = collector.wait(trace_id, SEND, *[PROCESS] * 3)
    assert {span.parent for span in attempts} == {send.id}


def test_a_batch_of_tasks_and_its_last_one_are_of_one_trace(server: Server, collector: Collector) -> None:
    trace_id, said = headers()
    body = {"tasks": [{"action": "quick"}, {"action": "flaky"}], "on_complete": {"action": "sums_up"}}
    answer = server.request("POST", "/batches", body, said)
    assert answer.status in (201, 202), answer.body
    server.ended(answer.json()["on_complete"])
    send, *attempts = collector.wait(trace_id, SEND, *[PROCESS] * 4)
    assert {span.parent for span in attempts} == {send.id}


@pytest.mark.parametrize("action", ["together", "jointly"])
def test_a_batch_has_a_span_that_is_linked_to_those_of_its_tasks(
    server: Server, collector: Collector, action: str
) -> None:
    first, second = headers(), headers()
    for _, said in (first, second):
        submit(server, action, said, data={"note": "x"})
    attempts = [collector.wait(id_, PROCESS)[0] for id_, _ in (first, second)]
    batch = eventually(
        lambda: next((span for span in list(collector.spans) if span.name == f"batch {action}"), None), 20
    )
    assert batch is not None
    assert batch.fields["messaging.batch.message_count"] == 2
    assert set(batch.links) == {span.id for span in attempts}
    (inside,) = collector.wait(batch.trace, f"in {action}")
    assert inside.parent == batch.id


def test_what_is_refused_has_no_span(server: Server, collector: Collector) -> None:
    trace_id, said = headers()
    assert server.request("POST", "/tasks", {"action": "nothing"}, said).status == 400
    good, also = headers()
    submit(server, "quick", also)
    collector.wait(good, PROCESS)
    assert not collector.of(trace_id)


@pytest.mark.parametrize("bad", ["", "00-zz-1-01", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "x" * 2000])
def test_a_header_that_says_nothing_begins_a_trace_of_its_own(
    server: Server, collector: Collector, bad: str
) -> None:
    id_ = submit(server, "quick", {"traceparent": bad, "tracestate": "a=b"})
    span = eventually(
        lambda: next(
            (
                span
                for span in list(collector.spans)
                if span.name == SEND and span.fields.get("messaging.message.id") == id_
            ),
            None,
        )
    )
    assert span is not None
    assert span.parent == ""


def test_who_is_not_sampled_is_not_traced(server: Server, collector: Collector) -> None:
    trace_id, said = headers()
    said["traceparent"] = said["traceparent"][:-2] + "00"
    id_ = submit(server, "apart", said, data={"note": "secret"})
    server.ended(id_)
    good, also = headers()
    server.ended(submit(server, "apart", also))
    collector.wait(good, PROCESS, "in apart")
    assert not collector.of(trace_id)


def test_workers_outside_are_told_the_trace(server: Server, collector: Collector) -> None:
    trace_id, said = headers("shop=1")
    submit(server, "paint", said)
    claim = {"worker": "w", "limit": 1, "wait": 10, "lease": 30}
    (task,) = server.request("POST", "/queues/far/claim", claim, timeout=20).json()["tasks"]
    (send,) = collector.wait(trace_id, "send far")
    assert task["traceparent"] == f"00-{trace_id}-{send.id}-01"
    assert task["tracestate"] == "shop=1"


def test_the_page_is_followed(
    server: Server, collector: Collector, root: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = compile(blocks("python")[0].replace("http://localhost:8080", server.url), "traces.md", "exec")
    exec(code, {})
    assert capsys.readouterr().out == "paid\n"
    (process, bank) = collector.wait(root[0], PROCESS, "ask the bank")
    assert (bank.parent, bank.fields) == (process.id, {"order": 7})
    (example,) = [Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)]
    said = curl(example, server.url)
    assert example.matches(said), said
    (send,) = collector.wait("0af7651916cd43dd8448eb211c80319c", SEND)
    assert send.parent == "b7ad6b7169203331"
    (command,) = re.findall(r"taskmill run (.*)", blocks("bash")[0])
    assert tuple(command.split()) == ON


@pytest.mark.long
@pytest.mark.fault
def test_a_kill_and_a_new_start_keep_the_parent_also_where_tasks_are_encrypted(
    collector: Collector, tmp_path: Path
) -> None:
    app = application(tmp_path / "app", ACTIONS)
    index = (app / "_index.yaml").read_text()
    index = index.replace(
        "kind: task.service\n", "kind: task.service\n    encrypt: {keys: '${env:TASKMILL_KEYS}'}\n"
    )
    (app / "_index.yaml").write_text(index)
    to = (*ON, "-o", f"app:otel:endpoint={collector.url}")
    env = {**ENV, "TASKMILL_KEYS": new_key("test")}
    (trace_id, said), (waits, later), (broken, flaky) = headers("vendor=here"), headers(), headers()
    with serving(tmp_path, *to, directory=app, env=env) as first:
        id_ = submit(first, "killed", said, data={"file": str(tmp_path / "begun")})
        eventually((tmp_path / "begun").exists, 20)
        eventually(lambda: first.get(f"/tasks/{id_}").json()["status"] == "running")
        delayed = submit(first, "quick", later, delay=1)
        assert first.ended(submit(first, "flaky", flaky))["status"] == "completed"
        (send,) = collector.wait(trace_id, SEND)
        (failed,) = collector.wait(broken, PROCESS)
        assert failed.fields["error.type"] == "ValueError"
        collector.wait(waits, SEND)
        first.kill()
    with serving(tmp_path, *to, directory=app, env=env) as second:
        assert second.ended(id_, 30)["status"] == "completed"
        assert second.ended(delayed, 30)["status"] == "completed"
        (process,) = collector.wait(trace_id, PROCESS)
        assert (process.parent, process.fields["taskmill.attempt"]) == (send.id, 2)
        collector.wait(waits, PROCESS)
        assert second.terminate() == 0


@pytest.mark.long
def test_a_collector_that_is_away_holds_nothing_up(tmp_path: Path) -> None:
    to = ("-o", "app:otel:endpoint=http://127.0.0.1:9")
    with serving(tmp_path, *ON, *to, directory=tmp_path, env=ENV) as server:
        ids = [submit(server, "uppercase", {}, data={"text": "a"}) for _ in range(20)]
        assert all(server.ended(id_)["status"] == "completed" for id_ in ids)
        assert server.terminate(60) == 0


@pytest.mark.long
def test_what_one_node_takes_in_and_another_runs_is_one_trace(
    collector: Collector, tmp_path: Path, postgres_url: str
) -> None:
    to = (*ON, "-o", f"app:otel:endpoint={collector.url}")
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        workers = there.begin(*to, "--only", "workers", env={**ENV, "OTEL_SERVICE_NAME": "workers"})
        front = there.start(*to, "--only", "http", env={**ENV, "OTEL_SERVICE_NAME": "front"})
        found = [(headers(), action) for action in ("quick", "apart", "flaky")]
        for (_, said), action in found:
            submit(front, action, said)
        for (trace_id, _), action in found:
            names = (PROCESS, PROCESS) if action == "flaky" else (PROCESS, f"in {action}")
            send, first, second = collector.wait(trace_id, SEND, *names, timeout=60)
            assert (send.service, first.service, second.service) == ("front", "workers", "workers")
            assert first.parent == send.id
        assert workers.process.poll() is None
