"""Schedules under a clock that is set, restarts, several nodes, pauses: each due time is run once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_schedules import Simulation, definition, simulated

from taskmill.supervisor import SupervisorError
from taskmill.tasks.schedules import firing
from taskmill.tasks.schedules.firing import Run
from taskmill.tasks.schedules.plan import Plan
from taskmill.tasks.schedules.store import Declared
from taskmill.tasks.schedules.timing import spread

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = int(datetime(2026, 1, 5, 10, 0, 30, tzinfo=ZoneInfo("UTC")).timestamp()) * 1000


def run(test: Callable[[Simulation], Awaitable[None]], now: int = START) -> None:
    """Run a test in a simulation that begins at a time."""

    async def main() -> None:
        async with simulated(now) as simulation:
            await test(simulation)

    asyncio.run(main())


def multiples(low: int, high: int, step: int = MINUTE) -> list[int]:
    """Return the multiples of a step after one time, up to another."""
    return list(range(low // step * step + step, high + 1, step))


def test_each_due_time_is_one_task() -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(), simulation.now)
        await simulation.go(scheduler, 10 * MINUTE)
        fires = await simulation.fires()
        assert fires == [(due, "run") for due in multiples(START, simulation.now)]
        await simulation.check()
        schedule = await simulation.schedule()
        assert schedule.last_task_id == simulation.dispatched[-1].message.key
        assert schedule.next_run_at == fires[-1][0] + MINUTE
        assert {(new.message.name, new.message.body) for new in simulation.dispatched} == {
            ("uppercase", '{"text":"hello"}')
        }
        assert simulation.dispatched[0].tags == ["schedule:one"]

    run(test)


@pytest.mark.parametrize(("catch_up", "runs"), [("none", 1), ("one", 1), ("all", 10)])
def test_what_comes_while_there_is_no_room_waits_and_counts_as_missed(catch_up: str, runs: int) -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(catch_up=catch_up), simulation.now)
        await scheduler.look()
        simulation.intake.full = True
        await simulation.go(scheduler, 10 * MINUTE)
        assert await simulation.fires() == []
        simulation.intake.full = False
        await scheduler.look()
        assert await simulation.fires() == [(due, "run") for due in multiples(START, simulation.now)[-runs:]]

    run(test)


@pytest.mark.parametrize(
    ("catch_up", "every", "down", "expected"),
    [
        ("none", 3 * HOUR, 3 * HOUR + MINUTE + 1, 0),
        ("none", 3 * HOUR, 3 * HOUR + MINUTE, 1),  # it is hardly late
        ("none", MINUTE, 2 * HOUR, 1),
        ("one", 3 * HOUR, 5 * HOUR, 1),
        ("one", MINUTE, 2 * HOUR, 1),
        ("all", 3 * HOUR, 5 * HOUR, 1),
        ("all", MINUTE, 2 * HOUR, 120),
        ("all", MINUTE, 5 * HOUR, 300),
    ],
)
def test_what_was_missed_while_down(catch_up: str, every: int, down: int, expected: int) -> None:
    async def test(simulation: Simulation) -> None:
        await simulation.node()
        await simulation.store.put(definition(every=every, catch_up=catch_up), simulation.now)
        simulation.set(START + down)
        scheduler = await simulation.node()
        await scheduler.look()
        due = [due - START for due, _ in await simulation.fires()]
        assert due == (multiples(0, down, every)[-expected:] if expected else [])
        await simulation.go(scheduler, every)
        assert len(await simulation.fires()) == expected + 1
        await simulation.check()

    run(test)


@pytest.mark.parametrize("catch_up", ["one", "all"])
def test_a_run_that_is_put_off_is_not_missed_yet(catch_up: str) -> None:
    async def test(simulation: Simulation) -> None:
        await simulation.node()
        one = definition(every=MINUTE, jitter=MINUTE, catch_up=catch_up)
        await simulation.store.put(one, simulation.now)
        for down in range(61_000, 3 * MINUTE, 7_000):
            simulation.set(simulation.now + down)
            await (await simulation.node()).look()
            following = (await simulation.schedule()).next_run_at
            assert following is not None
            assert following > simulation.now
        rows = await simulation.rows("SELECT due, at FROM schedule_fire ORDER BY due")
        assert all(spread("one", due, MINUTE) <= at for due, at in rows)
        if catch_up == "all":
            assert [due for due, _ in rows] == list(range(rows[0][0], rows[-1][0] + 1, MINUTE))
        await simulation.check()

    run(test)


def test_F24_the_clock_is_set_back_by_an_hour() -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(), simulation.now)
        await simulation.go(scheduler, 2 * HOUR)
        simulation.set(simulation.now - HOUR)
        await simulation.go(scheduler, HOUR)
        assert len(await simulation.fires()) == 120, "nothing is repeated"
        await simulation.go(scheduler, HOUR)
        assert [due for due, _ in await simulation.fires()] == multiples(START, simulation.now)
        await simulation.check()

    run(test)


def test_F24_the_clock_is_a_day_ahead_for_a_while() -> None:
    """What had not been run then is run when its time really comes; what is due within a day is not put off."""

    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(), simulation.now)
        await simulation.go(scheduler, 10 * MINUTE)
        right = simulation.now
        simulation.set(right + DAY)
        await scheduler.look()
        assert len(await simulation.fires()) == 11, "no mass of runs, but the last that was missed"
        await simulation.go(scheduler, 2 * MINUTE)
        simulation.set(right + 2 * MINUTE)
        await scheduler.look()
        await simulation.go(scheduler, 10 * MINUTE)
        fires = [due for due, _ in await simulation.fires()]
        assert multiples(right + 2 * MINUTE, simulation.now) == [
            due for due in fires if right < due < right + HOUR
        ]
        await simulation.check()

    run(test)


def test_F24_a_clock_that_was_ahead_is_set_back_to_just_after_a_due_time() -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(), simulation.now)
        simulation.set(START + DAY)
        await scheduler.look()
        simulation.set(START + 30_000 + 900)
        await scheduler.look()
        assert (await simulation.fires())[0] == (START + 30_000, "run")

    run(test)


def test_a_process_that_stood_still_for_a_moment_makes_up_for_it() -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await scheduler.look()
        await simulation.store.put(definition(every=5_000, catch_up="none"), simulation.now)
        await simulation.go(scheduler, 2 * MINUTE)
        assert len(await simulation.fires()) == 24
        await simulation.check()

    run(test)


@pytest.mark.parametrize("meanwhile", ["pause", "change", "delete"])
def test_a_run_that_was_planned_does_not_overrule_a_change(meanwhile: str) -> None:
    async def test(simulation: Simulation) -> None:
        await simulation.node()
        await simulation.store.put(definition(), simulation.now)
        schedule = await simulation.schedule()
        due = schedule.next_due
        assert due is not None
        planned = Run(schedule, Plan([due], due + MINUTE), [simulation.tasks.make(schedule, due)])
        simulation.set(due)
        if meanwhile == "pause":
            await simulation.store.pause("one", due)
        elif meanwhile == "change":
            await simulation.store.put(definition(data='{"text":"new"}'), due)
        else:
            await simulation.store.delete("one")
        await simulation.database.write(
            lambda transaction: firing.run(transaction, simulation.tasks, planned, due)
        )
        assert await simulation.fires() == []
        assert planned.stored == []
        await simulation.check()

    run(test)


@pytest.mark.parametrize("catch_up", ["none", "one", "all"])
def test_F24_the_clock_is_set_forward_by_an_hour_over_a_daily_run(catch_up: str) -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(cron="30 10 * * *", catch_up=catch_up), simulation.now)
        await simulation.go(scheduler, 10 * MINUTE)
        simulation.set(simulation.now + HOUR)
        await scheduler.look()
        assert len(await simulation.fires()) == 1
        simulation.set(simulation.now - HOUR)
        await simulation.go(scheduler, 2 * HOUR)
        assert len(await simulation.fires()) == 1
        await simulation.check()

    run(test)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_F24_a_day_on_which_the_clocks_change(day: tuple[int, int, int], hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    midnight = int(datetime(*day, tzinfo=zone).timestamp()) * 1000

    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        for name, cron in (("daily", "30 2 * * *"), ("hourly", "@hourly"), ("quarter", "*/15 * * * *")):
            changes = definition(name, cron=cron, timezone=zone.key)
            await simulation.store.put(changes, simulation.now)
        await simulation.go(scheduler, hours * HOUR)
        counts = {name: len(await simulation.fires(name)) for name in ("daily", "hourly", "quarter")}
        assert counts == {"daily": 1, "hourly": hours, "quarter": hours * 4}
        await simulation.check()

    run(test, midnight - 1_000)


def test_F24_two_schedulers_run_each_due_time_once() -> None:
    async def test(simulation: Simulation) -> None:
        nodes = [await simulation.node() for _ in range(3)]
        for index in range(20):
            await simulation.store.put(definition(f"s{index}", every=1000 + index), simulation.now)
        for _ in range(30):
            simulation.set(simulation.now + 700)
            await asyncio.gather(*(node.look() for node in nodes))
        for index in range(20):
            due = [due - START for due, _ in await simulation.fires(f"s{index}")]
            assert due == multiples(0, simulation.now - START, 1000 + index)
        await simulation.check()

    run(test)


events = st.lists(
    st.one_of(
        st.tuples(st.just("go"), st.integers(1, 10 * MINUTE)),
        st.tuples(st.just("set"), st.sampled_from([HOUR, -HOUR, 3 * MINUTE, -3 * MINUTE, -1000])),
        st.tuples(st.just("down"), st.integers(0, HOUR)),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(events, st.sampled_from([MINUTE, 90_000]), st.sampled_from([0, 20_000]), st.booleans())
def test_F24_whatever_the_clock_does_nothing_is_lost_or_repeated(
    happened: list[tuple[str, int]], every: int, jitter: int, declared: bool
) -> None:
    async def test(simulation: Simulation) -> None:
        one = definition(every=every, jitter=jitter, catch_up="all", declared=declared)
        scheduler = await simulation.node([one] if declared else ())
        if not declared:
            await simulation.store.put(one, simulation.now)
        for what, by in happened:
            if what == "go":
                await simulation.go(scheduler, by)
            else:
                simulation.set(simulation.now + by)
                if what == "down":
                    scheduler = await simulation.node([one] if declared else ())
                await scheduler.look()
        await simulation.go(scheduler, simulation.highest - simulation.now)
        due = [due for due, _ in await simulation.fires()]
        complete = [
            START + multiple
            for multiple in multiples(simulation.lowest - START, simulation.highest - START, every)
        ]
        late = set(complete) - set(due)
        assert all(simulation.highest - missing <= jitter for missing in late), "nothing is lost"
        assert all((one - START) % every == 0 and one <= simulation.highest for one in due)
        await simulation.check()

    run(test)


def test_a_run_is_skipped_while_the_last_task_has_not_ended() -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(overlap="skip"), simulation.now)
        await simulation.go(scheduler, 3 * MINUTE)
        outcomes = [outcome for _, outcome in await simulation.fires()]
        assert outcomes == ["run", *["skipped: the last one has not ended"] * 2]
        await simulation.end_tasks()
        await simulation.go(scheduler, MINUTE)
        assert (await simulation.fires())[-1][1] == "run"
        assert len(simulation.dispatched) == 2

    run(test)


def test_pausing_and_resuming_runs_nothing_of_what_lies_between() -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(catch_up="all"), simulation.now)
        await simulation.go(scheduler, 2 * MINUTE)
        assert await simulation.store.pause("one", simulation.now)
        assert (await simulation.schedule()).next_run_at is None
        await simulation.go(scheduler, 5 * MINUTE)
        scheduler = await simulation.node()
        await scheduler.look()
        assert len(await simulation.fires()) == 2
        assert await simulation.store.resume("one", simulation.now)
        await simulation.go(scheduler, 2 * MINUTE)
        assert len(await simulation.fires()) == 4
        assert not await simulation.store.pause("other", simulation.now)

    run(test)


def test_old_due_times_are_forgotten_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.tasks.schedules.firing.KEPT", 10)

    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition(), simulation.now)
        await simulation.go(scheduler, 30 * MINUTE)
        assert len(await simulation.fires()) == 10
        assert len(simulation.dispatched) == 30
        simulation.set(simulation.now - 20 * MINUTE)
        await simulation.go(scheduler, 20 * MINUTE)
        assert len(simulation.dispatched) == 30
        await simulation.go(scheduler, 2 * MINUTE)
        assert len(simulation.dispatched) == 32

    run(test)


def test_declared_schedules_are_what_the_registry_says() -> None:
    async def test(simulation: Simulation) -> None:
        await simulation.node([definition("a", declared=True), definition("b", declared=True)])
        await simulation.store.put(definition("c"), simulation.now)
        before = await simulation.schedule("a")
        simulation.set(simulation.now + 10_000)
        with pytest.raises(Declared):
            await simulation.store.put(definition("a"), simulation.now)
        with pytest.raises(Declared):
            await simulation.store.delete("a")
        await simulation.node([definition("a", declared=True), definition("d", paused=True, declared=True)])
        assert await simulation.schedule("a") == before, "it has not changed"
        assert [row.name for row in await simulation.store.page("", 10)] == ["a", "c", "d"]
        with pytest.raises(Declared):
            await simulation.store.resume("d", simulation.now)
        await simulation.node([definition("a", cron="0 * * * *", declared=True)])
        assert (await simulation.schedule("a")).next_run_at == multiples(START, START + HOUR, HOUR)[0]
        await simulation.store.pause("a", simulation.now)
        await simulation.node([definition("a", data='{"text":"new"}', declared=True)])
        assert (await simulation.schedule("a")).next_run_at is None, "a pause that was asked for lasts"
        assert (await simulation.schedule("a")).data == '{"text":"new"}'

    run(test)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"data": '{"text":5}'}, "schedule `one` is wrong: data.text: Expected `str`, got `int`"),
        ({"queue": "taks"}, "schedule `one` is wrong: queue: unknown queue; did you mean `tasks`?"),
    ],
)
def test_a_declared_schedule_that_cannot_run_stops_the_start(values: dict[str, str], said: str) -> None:
    async def test(simulation: Simulation) -> None:
        with pytest.raises(SupervisorError) as raised:
            await simulation.node([definition(declared=True, **values)])
        assert str(raised.value) == said
        with pytest.raises(SupervisorError, match="two schedules are named `one`"):
            await simulation.node([definition(declared=True)] * 2)

    run(test)


def test_a_schedule_that_can_no_longer_run_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def test(simulation: Simulation) -> None:
        scheduler = await simulation.node()
        await simulation.store.put(definition("a"), simulation.now)
        await simulation.store.put(definition("b"), simulation.now)
        await simulation.database.write(
            lambda transaction: transaction._connection.execute(
                "UPDATE schedule SET timezone = 'Europe/Gone' WHERE name = 'a'"
            )
        )
        await simulation.go(scheduler, 2 * MINUTE)
        assert len(await simulation.fires("b")) == 2
        assert await simulation.fires("a") == []
        assert "schedule a cannot run" in caplog.text

    run(test)
