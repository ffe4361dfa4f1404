"""Every registered kind starts and stops: twice, unstarted, together, and broken off while it starts."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from issuers import Issuer
from support import eventually

from taskmill.application import KINDS, read, supervise
from taskmill.http.auth import key_file
from taskmill.registry import Registry
from taskmill.supervisor import Context, Supervisor, SupervisorError

# The smallest application in which each kind stands once.
INDEX = """
namespace: app
entries:
  - {name: db, kind: db.sql.sqlite, file: tasks.db}
  - {name: driver, kind: queue.driver.memory}
  - {name: tasks_queue, kind: queue.queue, driver: driver}
  - {name: outside_queue, kind: queue.queue, driver: driver}
  - {name: host, kind: process.host, workers: 1}
  - {name: migrate, kind: process.python, source: taskmill.tasks.api, method: apply_migrations, needs: {database: db}}
  - {name: migrated, kind: process.service, process: migrate, host: host}
  - name: tasks
    kind: task.service
    database: db
    queue: tasks_queue
    host: host
    actions: ["file://actions.py"]
    lifecycle: {depends_on: [migrated]}
  - {name: hourly, kind: task.schedule, tasks: tasks, every: 1h, action: shout, data: {text: x}}
  - {name: outside, kind: task.action, tasks: tasks, queue: outside_queue}
  - {name: pushed, kind: task.push, tasks: tasks, url: "https://hooks.example.com/"}
  - {name: told, kind: task.webhooks, tasks: tasks, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
  - {name: spans, kind: observe.otel, tasks: tasks, endpoint: "http://127.0.0.1:9"}
  - {name: move, kind: task.move, tasks: tasks}
  - {name: usage, kind: task.usage, tasks: tasks}
  - {name: outbox, kind: task.outbox, tasks: tasks, database: db, table: outbox}
  - {name: process_task, kind: function.python, source: taskmill.tasks.api, method: process_task, needs: {tasks: tasks}}
  - {name: consumer, kind: queue.consumer, queue: tasks_queue, func: process_task}
  - {name: gateway, kind: http.service, addr: "127.0.0.1:0"}
  - {name: keys, kind: http.auth.keys}
  - {name: tokens, kind: http.auth.jwt, issuer: https://id.example, audience: mill, jwks: keys.jwks}
  - {name: near, kind: http.middleware.proxies, trusted: [127.0.0.0/8]}
  - {name: ids, kind: http.middleware.request_id}
  - {name: strict, kind: http.middleware.headers}
  - {name: pages, kind: http.middleware.cors, origins: ["https://shop.example"]}
  - {name: limit, kind: http.middleware.rate_limit, limit: 1000}
  - {name: small, kind: http.middleware.compression}
  - name: router
    kind: http.router
    meta: {server: gateway}
    middleware: [near, ids, strict, pages, keys, tokens, limit, small]
  - {name: healthz, kind: function.python, source: taskmill.tasks.api, method: healthz}
  - {name: route, kind: http.endpoint, meta: {router: router}, path: /healthz, func: healthz}
"""
ACTIONS = "from taskmill import action\n\n@action\ndef shout(text: str) -> str:\n    return text.upper()\n"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "_index.yaml").write_text(INDEX)
    (tmp_path / "actions.py").write_text(ACTIONS)
    Issuer().write(tmp_path / "keys.jwks")
    key_file.create(tmp_path / "data" / "keys.json", "test", ["admin"])
    return read(tmp_path)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; nothing of it may be left: no task, no child process, no open file of the database."""

    async def bounded() -> None:
        async with asyncio.timeout(40):
            await scenario()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []

    me = psutil.Process()
    others = set(me.children(recursive=True))  # servers that other tests share
    asyncio.run(bounded())
    eventually(lambda: set(me.children(recursive=True)) <= others)
    assert [file.path for file in me.open_files() if "tasks.db" in file.path] == []


def test_the_application_holds_every_kind(registry: Registry) -> None:
    """Other than those that need a server: `tests/conformance` starts and stops these."""
    held = {entry.kind for entry in registry.entries.values()}
    assert {kind for kind in KINDS if not kind.startswith(("db.sql.", "queue.driver."))} <= held
    assert held <= set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_part_that_was_never_started_stops_twice(registry: Registry, tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        context = Context({}, lambda *_: None, data_dir=tmp_path, app_dir=tmp_path)
        for entry in registry.entries.values():
            if entry.kind == kind:
                part = KINDS[kind](entry, context)
                await part.stop()
                await asyncio.gather(part.stop(), part.stop())

    run(scenario)


@pytest.mark.parametrize("id_", [line.split("name: ")[1].split(",")[0].strip()
                                 for line in INDEX.splitlines() if "name: " in line])  # fmt: skip
def test_a_part_and_what_it_needs_start_and_stop_twice(registry: Registry, tmp_path: Path, id_: str) -> None:
    """Each part is the only one wanted; the second run finds what the first has left."""

    async def scenario() -> None:
        others = [f"app:{name.partition(':')[2]}:lifecycle.auto_start=false"
                  for name in registry.entries if name != f"app:{id_}"]  # fmt: skip
        for _ in range(2):
            supervisor = supervise(read(tmp_path, others), tmp_path / "data")
            await supervisor.start()
            assert supervisor.states[f"app:{id_}"] == "running"
            assert await supervisor.stop() == []
            assert await supervisor.stop() == []
            part = supervisor.get(f"app:{id_}", object)
            await part.stop()  # type: ignore[attr-defined] - once more, behind the supervisor's back

    run(scenario)


def test_stopping_before_and_without_starting_does_no_harm(registry: Registry, tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = supervise(registry, tmp_path / "data")
        assert await supervisor.stop() == []
        assert await supervisor.stop() == []
        with pytest.raises(SupervisorError, match="starts only once"):
            await supervisor.start()

    run(scenario)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89])
@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_breaking_off_the_start_leaves_nothing_behind(
    registry: Registry, tmp_path: Path, turns: int, how: str
) -> None:
    async def scenario() -> None:
        for _ in range(2):  # the second run takes over what the first has left half-done
            supervisor = supervise(registry, tmp_path / "data")
            starting = asyncio.create_task(supervisor.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            await broken_off(supervisor, starting, how)
        supervisor = supervise(registry, tmp_path / "data")
        await supervisor.start()
        assert await supervisor.stop() == []

    run(scenario)


async def broken_off(supervisor: Supervisor, starting: asyncio.Task[None], how: str) -> None:
    if how == "cancel":
        starting.cancel()
    await asyncio.gather(supervisor.stop(), supervisor.stop())
    (outcome,) = await asyncio.gather(starting, return_exceptions=True)
    assert outcome is None or isinstance(outcome, SupervisorError | asyncio.CancelledError), outcome
    assert set(supervisor.states.values()) <= {"waiting", "stopped", "failed"}
