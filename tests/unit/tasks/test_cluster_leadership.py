"""What is called as a node begins and ceases to lead."""

import asyncio

from clustering import on_loop

from taskmill.tasks.cluster.leadership import Leadership


class Stage:
    """A leadership, its clock, and what was called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False
        self.leadership = Leadership(lambda: self.calls.append("resign"), lambda: self.now)
        self.leadership.gained.append(self.gained)
        self.leadership.lost.append(lambda: self.calls.append("lost"))

    async def gained(self) -> None:
        self.calls.append("gaining")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.calls.append("cancelled")
            raise
        if self.fails:
            raise ValueError("it cannot")
        self.calls.append(f"gained {self.leadership.fence}")


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@on_loop
async def test_it_is_gained_once_and_kept() -> None:
    stage = Stage()
    for _ in range(3):
        stage.leadership.heard(4, stage.now + 5)
        await turns()
        stage.now += 2
        stage.leadership.check()
    assert stage.calls == ["gaining", "gained 4"]
    assert stage.leadership.is_leader
    assert stage.leadership.fence == 4


@on_loop
async def test_it_is_lost_where_it_runs_out_and_where_another_has_it() -> None:
    stage = Stage()
    stage.leadership.heard(1, 5)
    await turns()
    stage.now = 5
    assert not stage.leadership.is_leader, "also before anybody looks: a process may have been frozen"
    assert stage.leadership.fence == -1
    stage.leadership.check()
    stage.leadership.check()
    stage.leadership.heard(None, 0)
    assert stage.calls == ["gaining", "gained 1", "lost"]
    stage.leadership.heard(2, 10)
    await turns()
    stage.leadership.heard(None, 0)
    assert stage.calls[3:] == ["gaining", "gained 2", "lost"]


@on_loop
async def test_a_lead_that_ran_out_and_was_taken_anew_is_another_one() -> None:
    """In between another node may have led, and changed anything."""
    stage = Stage()
    stage.leadership.heard(1, 5)
    await turns()
    stage.leadership.heard(3, 9)
    await turns()
    assert stage.calls == ["gaining", "gained 1", "lost", "gaining", "gained 3"]


@on_loop
async def test_what_begins_to_lead_is_broken_off_where_the_lead_is_lost() -> None:
    stage = Stage()
    stage.gate.clear()
    stage.leadership.heard(1, 5)
    await turns()
    stage.leadership.heard(None, 0)
    stage.leadership.heard(2, 9)
    await turns()
    assert stage.calls == ["gaining", "lost", "cancelled", "gaining"], "never two of them at a time"
    stage.gate.set()
    await stage.leadership.settled()
    assert stage.calls[-1] == "gained 2"


@on_loop
async def test_one_that_cannot_begin_resigns() -> None:
    stage = Stage()
    stage.fails = True
    stage.leadership.heard(1, 5)
    await turns()
    assert stage.calls == ["gaining", "lost", "resign"]
    assert not stage.leadership.is_leader


@on_loop
async def test_a_lead_heard_of_too_late_is_none() -> None:
    """The loop was blocked while its thread beat."""
    stage = Stage()
    stage.now = 6
    stage.leadership.heard(1, 5)
    await turns()
    assert stage.calls == []


@on_loop
async def test_whoever_is_alone_leads_for_good() -> None:
    stage = Stage()
    await stage.leadership.alone()
    stage.now = 1e9
    stage.leadership.check()
    assert stage.leadership.is_leader
    assert stage.calls == ["gaining", "gained 0"]
