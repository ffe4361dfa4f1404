"""A node that has room, and gets nothing of what waits, is not well, says so and begins anew."""

from clustering import on_loop

from taskmill.tasks.cluster.health import PATIENCE, Progress


class Stage:
    """One queue and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.credit = 5
        self.arrived = 0
        self.waiting = 0
        self.mended = 0
        self.progress = Progress(
            "tasks", lambda: self.credit, lambda: self.arrived, self.wait, self.mend, lambda: self.now
        )

    async def wait(self) -> int:
        return self.waiting

    def mend(self) -> None:
        self.mended += 1

    async def look(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            await self.progress.look()


@on_loop
async def test_it_says_what_is_wrong_and_mends_it_again_and_again() -> None:
    stage = Stage()
    await stage.look(60)
    stage.waiting = 12
    await stage.look(PATIENCE - 1)
    assert (stage.progress.problem, stage.mended) == (None, 0)
    await stage.look(1)
    assert stage.mended == 1
    assert stage.progress.problem == (
        "queue tasks has given this node nothing for 10 s, though 12 messages wait and "
        "there is room for 5; it is subscribed anew"
    )
    await stage.look(PATIENCE)
    assert stage.mended == 2
    stage.arrived += 1
    await stage.look(1)
    assert stage.progress.problem is None
    await stage.look(PATIENCE - 1)
    assert stage.mended == 2


@on_loop
async def test_it_is_well_where_something_arrives_nothing_waits_or_there_is_no_room() -> None:
    stage = Stage()
    stage.waiting = 1_000
    for _ in range(30):
        stage.arrived += 1
        await stage.look(PATIENCE - 1)
    stage.credit = 0
    await stage.look(60)
    stage.credit, stage.waiting = 5, 0
    await stage.look(60)
    assert (stage.progress.problem, stage.mended) == (None, 0)


@on_loop
async def test_the_time_counts_from_when_there_was_both_work_and_room() -> None:
    stage = Stage()
    for _ in range(5):
        stage.waiting = 3
        await stage.look(PATIENCE - 2)
        stage.waiting = 0
        await stage.look(1)
    assert stage.mended == 0
