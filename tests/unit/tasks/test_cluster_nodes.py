"""A node on its loop: beats from a thread, what is called when they fail, and when it has been declared dead."""

import asyncio
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from clustering import World, on_loop_in, world

from taskmill.sql.signals import Signals
from taskmill.tasks.cluster import nodes as nodes_module
from taskmill.tasks.cluster import pulse
from taskmill.tasks.cluster.beat import Details
from taskmill.tasks.cluster.nodes import Nodes

TICK = 0.02  # seconds: all is a hundred times quicker than in truth
DEADLINE = 20.0  # seconds


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(pulse, "BEAT", TICK)
    monkeypatch.setattr(pulse, "AGAIN", TICK)
    monkeypatch.setattr(nodes_module, "LOOK", TICK)
    monkeypatch.setattr(nodes_module, "SILENT", 10 * TICK)
    with world(true_clock=True) as made:
        yield made


class Seen:
    """A node, and what it has called."""

    def __init__(self, place: World, shared: bool = True) -> None:
        self.calls: list[object] = []
        database: Any = SimpleNamespace(shared=shared, signals=Signals(), session=lambda: place)
        self.nodes = Nodes(database, "workers", lambda: Details(running=3))
        self.nodes.leadership.gained.append(self.gained)
        self.nodes.leadership.lost.append(lambda: self.calls.append("lost"))
        self.nodes.reborn.append(lambda: self.calls.append("reborn"))
        self.nodes.quiet.append(self.calls.append)

    async def gained(self) -> None:
        await asyncio.sleep(0)
        self.calls.append("gained")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - of many kinds
            await asyncio.sleep(TICK / 4)


@on_loop_in
async def test_it_is_known_and_leads_when_it_has_started_and_gone_when_it_has_stopped(place: World) -> None:
    seen = Seen(place)
    await seen.nodes.start()
    assert seen.calls == ["gained"]
    assert [one.id for one in seen.nodes.alive] == [seen.nodes.id]
    await until(lambda: seen.nodes.alive[0].details.running == 3)
    first = seen.nodes.alive[0].heartbeat_at
    await until(lambda: seen.nodes.alive[0].heartbeat_at > first)
    await seen.nodes.stop()
    assert place.rows("SELECT count(*) FROM node") == [(0,)]
    assert place.rows("SELECT expires_at FROM lease") == [(0,)]
    assert seen.calls == ["gained"]


@on_loop_in
async def test_where_the_database_does_not_hear_it_it_leads_no_more_and_begins_nothing(place: World) -> None:
    seen = Seen(place)
    await seen.nodes.start()
    place.away = True
    await until(lambda: True in seen.calls)
    assert not seen.nodes.may_work
    place.away = False
    await until(lambda: False in seen.calls)
    assert seen.nodes.may_work
    assert [call for call in seen.calls if isinstance(call, bool)] == [True, False]
    await seen.nodes.stop()


@on_loop_in
async def test_one_that_was_declared_dead_is_another_node_from_then_on(place: World) -> None:
    seen = Seen(place)
    await seen.nodes.start()
    old = seen.nodes.id
    place.rows("DELETE FROM node")
    await until(lambda: "reborn" in seen.calls)
    assert seen.nodes.id != old
    assert seen.calls[:3] == ["gained", "lost", "reborn"]
    assert place.rows("SELECT id FROM node") == [(seen.nodes.id,)]
    await seen.nodes.stop()


@on_loop_in
async def test_it_beats_while_something_blocks_the_loop(place: World) -> None:
    seen = Seen(place)
    await seen.nodes.start()
    ((before,),) = place.rows("SELECT heartbeat_at FROM node")
    end = time.monotonic() + DEADLINE
    after = before
    while after < before + 200 and time.monotonic() < end:  # an action that never awaits
        time.sleep(TICK)  # noqa: ASYNC251 - this is what it is about
        ((after,),) = place.rows("SELECT heartbeat_at FROM node")
    assert after >= before + 200
    await seen.nodes.stop()


@on_loop_in
async def test_no_error_whatever_ends_the_beats(place: World) -> None:
    seen = Seen(place)
    await seen.nodes.start()

    def broken(_: object) -> None:
        raise ZeroDivisionError

    well, place.run = place.run, broken  # type: ignore[method-assign, assignment]
    await until(lambda: True in seen.calls)
    place.run = well  # type: ignore[method-assign]
    await until(lambda: False in seen.calls)
    await seen.nodes.stop()


@on_loop_in
async def test_on_a_database_of_its_own_it_leads_without_a_row(place: World) -> None:
    seen = Seen(place, shared=False)
    await seen.nodes.start()
    assert seen.calls == ["gained"]
    assert seen.nodes.leadership.is_leader
    assert seen.nodes.may_work
    assert seen.nodes.id == b""
    assert place.rows("SELECT count(*) FROM node") == [(0,)]
    await seen.nodes.stop()
