"""What callers have used: counted once, by whichever door it came, and over a crash."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from apps import application
from secured import GUARDED, bearer, make_key
from support import Server, eventually, serving

ACTIONS = """
@action(inline=True)
def quick(text: str) -> str:
    return text

@action(max_attempts=2, backoff="50ms")
async def fails() -> None:
    await asyncio.sleep(0.2)
    raise ValueError("no")

@action
async def slow(seconds: float) -> None:
    await asyncio.sleep(seconds)
"""


@dataclass
class World:
    directory: Path
    admin: str
    shop: str

    def serving(self) -> Any:
        return serving(self.directory, "-o", GUARDED, directory=self.directory / "app")

    def used(self, server: Server, key: str) -> dict[str, Any] | None:
        """Return the one line of a caller, or None while there is none."""
        usage = server.request("GET", "/usage", None, bearer(key)).json()["usage"]
        found = [one for one in usage if one["caller"] == f"key {key[:11]}"]
        return found[0] if found else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    application(tmp_path / "app", ACTIONS)
    return World(tmp_path, make_key(tmp_path, "admin"), make_key(tmp_path, "submit", "read"))


def post(server: Server, key: str, body: object, path: str = "/tasks", **headers: str) -> Any:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.request("POST", path, body, {**bearer(key), **given})
    assert answer.status in (200, 202), answer.body
    return answer


def test_each_task_is_counted_once_by_whichever_door(world: World) -> None:
    task = {"action": "quick", "data": {"text": "a"}}
    with world.serving() as server:
        for _ in range(3):
            post(server, world.shop, task)
        post(server, world.shop, task, Prefer="wait=10")
        for _ in range(2):
            post(server, world.shop, task, Idempotency_Key="once")
        for _ in range(2):  # the second time they are known
            post(server, world.shop, {"tasks": [task] * 4}, "/tasks/bulk", Idempotency_Key="many")
        lines = b'{"action": "quick", "data": {"text": "a"}}\n' * 5 + b'{"action": "none"}\n'
        post(server, world.shop, lines, "/tasks/bulk", Content_Type="application/x-ndjson")
        post(server, world.shop, {"action": "fails"})
        cancelled = post(server, world.shop, {"action": "slow", "data": {"seconds": 60}}).json()["id"]
        post(server, world.shop, None, f"/tasks/{cancelled}/cancel")
        post(server, world.admin, task)

        def counts() -> tuple[int, ...]:
            found = world.used(server, world.shop) or {}
            return tuple(found.get(name, 0) for name in ("submitted", "completed", "failed", "cancelled"))

        eventually(lambda: counts() == (16, 14, 1, 1), 20)
        seconds = (world.used(server, world.shop) or {})["seconds"]
        assert 0.4 <= seconds < 30  # two attempts of the one that fails
        other = server.request("GET", f"/usage?caller=key%20{world.admin[:11]}", None, bearer(world.shop))
        assert other.status == 403
        everybody = server.request("GET", "/usage", None, bearer(world.admin)).json()
        assert {one["caller"] for one in everybody["usage"]} == {
            f"key {world.shop[:11]}",
            f"key {world.admin[:11]}",
        }
        own = server.request("GET", "/usage", None, bearer(world.shop)).json()
        assert own["count"] == 1
        for query in ("since=x", "since=2026-02-30", "limit=0", "who=x"):
            assert server.request("GET", f"/usage?{query}", None, bearer(world.admin)).status == 400
        assert (
            server.request("GET", "/usage?until=2000-01-01", None, bearer(world.admin)).json()["usage"] == []
        )


def test_what_runs_for_long_is_counted_after_a_crash(world: World) -> None:
    with world.serving() as server:
        id_ = post(server, world.shop, {"action": "slow", "data": {"seconds": 3}}).json()["id"]
        eventually(lambda: (world.used(server, world.shop) or {}).get("submitted") == 1)
        server.kill()
    with world.serving() as server:
        assert (
            server.request("GET", f"/tasks/{id_}?wait=20", None, bearer(world.shop)).json()["status"]
            == "completed"
        )
        eventually(lambda: (world.used(server, world.shop) or {}).get("completed") == 1, 20)
        found = world.used(server, world.shop) or {}
        assert found["submitted"] == 1
        assert found["seconds"] >= 3


def test_a_client_that_goes_before_its_answer_is_counted(world: World) -> None:
    from wire import Wire
    from wire import post as wire_post

    with world.serving() as server:
        with Wire(server.url) as wire:
            body = b'{"action": "slow", "data": {"seconds": 1.0}}'
            wire.send(wire_post(body, f"Authorization: Bearer {world.shop}", "Prefer: wait=30"))
            eventually(lambda: server.request("GET", "/tasks", None, bearer(world.shop)).json()["count"] == 1)
        eventually(lambda: (world.used(server, world.shop) or {}).get("completed") == 1, 20)
