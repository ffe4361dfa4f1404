"""Lives of tasks in any order of events, against a small model: what was acknowledged ends once, and stays so."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from life_actions import Asked, doors, killed
from living import PLACES, RESERVE, Life

from taskmill import Fail, Retry
from taskmill.process.messages import Completed, Outcome
from taskmill.tasks.ids import from_text, to_text

EXAMPLES = int(os.environ.get("TASKMILL_EXAMPLES", "40"))
MINUTES_AT_END = 60  # in which everything must have ended
KEPT = 10  # attempts
ENDED = ("completed", "failed", "cancelled")

plans = st.text("frwe.", max_size=6) | st.just("f" * 12)
optional = {
    "delay": st.sampled_from([0, 2, 30]),
    "priority": st.integers(0, 9),
    "key": st.sampled_from(["a", "b"]),
    "expires_in": st.sampled_from([1, 20]),
    "max_attempts": st.sampled_from([1, 2, 12]),
    "timeout": st.sampled_from([3, 600]),
}
bodies = st.one_of(
    st.fixed_dictionaries(
        {"action": st.just("at_once"), "data": st.fixed_dictionaries({"plan": plans})}, optional=optional
    ),
    st.fixed_dictionaries(
        {
            "action": st.sampled_from(["waits", "alone"]),
            "data": st.fixed_dictionaries({"stubborn": st.booleans()}),
        },
        optional=optional,
    ),
    st.fixed_dictionaries({"action": st.just("isolated")}, optional=optional),
)
some = st.integers(0, 20)


def an_end(task: dict[str, Any]) -> tuple[Any, ...]:
    return task["status"], task["result"], task["error"], task["finished_at"], task["attempt"]


class LifeMachine(RuleBasedStateMachine):
    """Submits, lets actions end in every way, lets time pass, cancels, redrives, crashes and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.life: Life | None = None
        self.asked: list[Asked] = []  # without an answer yet
        self.acknowledged: set[str] = set()
        self.keys: dict[str, str] = {}  # the task of each idempotency key that was answered
        self.ends: dict[str, tuple[Any, ...]] = {}  # the ends that were read
        self.redriven: set[str] = set()  # perhaps, since their end was read
        self.cancelled: set[str] = set()  # perhaps
        self.furthest = 0.0  # that the wall clock has been

    @initialize(length=st.sampled_from([1, 3, 1_000]))
    def first_run(self, length: int) -> None:
        doors.open = False
        doors.waited.clear()
        self.life = Life(Path(self.directory.name), length)

    @property
    def alive(self) -> Life:
        assert self.life is not None
        return self.life

    def task(self, number: int) -> str | None:
        """Choose a task that somebody was told of."""
        known = sorted(self.acknowledged)
        return known[number % len(known)] if known else None

    @rule(body=bodies, key=st.sampled_from([None, None, None, "k"]), settle=st.booleans())
    def submit(self, body: dict[str, Any], key: str | None, settle: bool) -> None:
        asked = Asked(body, key)
        self.asked.append(asked)
        self.alive.call(lambda: self.alive.service.intake.submit(asked))
        if settle:
            self.alive.settle()

    @rule(number=some, how=st.sampled_from(["returns", "raises", "retries", "waits", "fails"]))
    def an_action_ends(self, number: int, how: str) -> None:
        if not doors.runs:
            return
        run = doors.runs[number % len(doors.runs)]
        if run.door.done():
            return
        errors: dict[str, Exception] = {
            "raises": ValueError("planned"), "retries": Retry(after=1), "fails": Fail("planned"),
            "waits": Retry(after=1, counts=False),
        }  # fmt: skip
        if how == "returns":
            self.alive.call(lambda: run.door.set_result(run.id))
        else:
            self.alive.call(lambda: run.door.set_exception(errors[how]))
        self.alive.turn(3)

    @rule(number=some, how=st.sampled_from(["returns", "crashes", "times out"]))
    def a_process_answers(self, number: int, how: str) -> None:
        pool = self.alive.pool
        if not pool.batches:
            return
        batch = number % len(pool.batches)
        call = pool.batches[batch][0]
        outcome: Outcome = Completed(b'{"output":"done"}')
        if how != "returns":
            late = how == "times out" and call.timeout is not None
            outcome = killed("cancelled" if call.cancelled else "timeout" if late else "crashed")
        self.alive.call(lambda: pool.answer(batch, outcome))
        self.alive.turn(3)

    @rule(seconds=st.sampled_from([0.06, 1.1, 3, 11, 61]))
    def time_passes(self, seconds: float) -> None:
        self.alive.advance(seconds)

    @rule(seconds=st.sampled_from([-3_600, -5, 5, 60]))
    def the_wall_clock_is_set(self, seconds: int) -> None:
        self.furthest = max(self.furthest, self.alive.wall)
        self.alive.wall += seconds

    @rule(times=st.integers(1, 4))
    def the_loop_turns(self, times: int) -> None:
        self.alive.turn(times)

    @rule()
    def all_settles(self) -> None:
        self.alive.settle()

    @rule(number=some, again=st.booleans())
    def cancel(self, number: int, again: bool) -> None:
        """And perhaps run it again at once, before what was cancelled has left the memory."""
        if (id_ := self.task(number)) is not None:
            self.cancelled.add(id_)
            self.alive.run(self.alive.service.control.cancel([_key(id_)]))
            if again:
                self.redrive(number)

    @rule(number=some)
    def redrive(self, number: int) -> None:
        if (id_ := self.task(number)) is not None and self.alive.run(
            self.alive.service.control.retry([_key(id_)])
        ):
            self.redriven.add(id_)

    @rule()
    def pause(self) -> None:
        self.alive.run(self.alive.service.control.pause("tasks", "a test"))

    @rule()
    def resume(self) -> None:
        self.alive.run(self.alive.service.control.resume("tasks"))

    @rule()
    def crash(self) -> None:
        self.hear()
        self.alive.crash()
        self.asked.clear()  # nobody will answer them
        self.alive.begin()

    @rule()
    def restart(self) -> None:
        self.alive.stop()
        self.hear()
        assert not self.asked, "whoever was accepted is answered before the end"
        self.alive.begin()

    def hear(self) -> None:
        """Take the answers that have come since."""
        for asked in [one for one in self.asked if one.status]:
            self.asked.remove(asked)
            if asked.key and asked.status == 422:  # stored perhaps by one that nobody could answer
                continue
            assert asked.status == 202, asked.answer
            id_ = asked.answer["id"]
            if asked.key:
                assert self.keys.setdefault(asked.key, id_) == id_, "one key, one task"
            self.acknowledged.add(id_)

    @invariant()
    def check(self) -> None:
        if self.life is None:
            return
        self.hear()
        idle = not self.life.database.writer.awake and not self.life.database.reads
        rows = self.life.rows()
        missing = self.acknowledged - rows.keys()
        assert not missing, "an acknowledged task is gone"
        for id_, task in rows.items():
            self.check_end(id_, task)
            check_attempts(task)
        if idle:
            self.check_owners(rows)
        consumer = self.life.consumer
        assert 0 <= consumer._in_hand <= PLACES + RESERVE
        assert len(consumer._free) == len(set(consumer._free)) <= PLACES, (
            "a place of work was given back twice"
        )

    def check_end(self, id_: str, task: dict[str, Any]) -> None:
        """An end that was read is read for ever, unless somebody had the task run again."""
        assert (task["finished_at"] is not None) == (task["status"] in ENDED)
        if id_ in self.ends and id_ not in self.redriven:
            assert an_end(task) == self.ends[id_], "the end of a task has changed"
        if task["status"] not in ENDED:
            if self.ends.pop(id_, None):
                self.redriven.discard(id_)
            return
        self.ends[id_] = an_end(task)
        assert (task["result"] is None) == (task["status"] != "completed")
        if task["status"] == "failed":
            assert task["error"] is not None
        if task["status"] == "cancelled":
            assert id_ in self.cancelled

    def check_owners(self, rows: dict[str, dict[str, Any]]) -> None:
        """What runs by its row is run by somebody, or is about to be."""
        service = self.alive.service
        for id_, task in rows.items():
            if task["status"] == "running":
                key = _key(id_)
                owned = service.worker.has(key) or service.dispatchers["tasks"].has(key, True)
                assert owned, f"nobody runs it: {task}"

    def teardown(self) -> None:
        if self.life is None:
            self.directory.cleanup()
            return
        try:
            self.drain()
            self.life.stop()
        finally:
            self.life.close()
            self.directory.cleanup()

    def drain(self) -> None:
        """Open every door: then each task must end, in bounded time, without a restart."""
        life = self.alive
        doors.open = True
        life.wall = max(life.wall, self.furthest)
        self.resume()
        for _ in range(MINUTES_AT_END):
            for run in list(doors.runs):
                if not run.door.done():
                    life.call(lambda run=run: run.door.set_result(run.id))  # type: ignore[misc]
            while life.pool.batches:
                life.call(lambda: life.pool.answer(0, Completed(b'{"output":"done"}')))
            life.advance(60)
            self.check()
            rows = life.rows()
            if all(task["status"] in ENDED for task in rows.values()) and not life.pool.batches:
                break
        stuck = [task for task in rows.values() if task["status"] not in ENDED]
        note(f"stuck: {stuck}")
        assert not stuck, "a task never ends"
        note(f"remembered: {[to_text(key) for key in life.service.traffic.dropped]}")
        assert not life.service.traffic.dropped, "a cancelled task is remembered for ever"
        assert life.driver._channels["tasks"].length() == 0


def check_attempts(task: dict[str, Any]) -> None:
    """The history is in order, of attempts that there were, and not too long."""
    assert task["attempt"] <= task["max_attempts"]
    failed = [attempt for attempt in task["attempts"] if attempt["error"] is not None]
    numbers = [attempt["attempt"] for attempt in failed]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= KEPT
    # An attempt drops an older one once it has failed: one that runs, or went well, has dropped none.
    assert all(task["attempt"] - KEPT <= number <= task["attempt"] for number in numbers)
    if task["status"] == "completed":
        assert task["attempts"][-1]["attempt"] == task["attempt"]
        assert task["attempts"][-1]["error"] is None
    ended_by_itself = task["status"] == "failed" and task["error"]["type"] != "expired"
    if ended_by_itself:
        assert numbers[-1] == task["attempt"]
        assert failed[-1]["error"]["message"] == task["error"]["message"]
    if task["status"] == "scheduled" and failed:
        assert task["run_at"] is not None


def _key(id_: str) -> bytes:
    key = from_text(id_)
    assert key is not None
    return key


TestLifeMachine = LifeMachine.TestCase
TestLifeMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
