"""The dispatcher against a model of what waits, through commits, reads, pauses, crashes and restarts in any order."""

import os
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

import pytest
from dispatching import Stage, Watcher
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from taskmill.tasks.dispatch import limits, window
from taskmill.tasks.dispatch.edge import place_of
from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.message import TaskMessage

EXAMPLES = int(os.environ.get("TASKMILL_EXAMPLES", "40"))
MAX_BYTES = 200
LIMITS = {"one": 1, "pair": 2}  # actions, and how many of their tasks run at once
ACTIONS = """
from typing import Any
from taskmill import action

@action(name="*", inline=True)
def anything(data: Any, /) -> None:
    pass

@action(inline=True, concurrency=1)
def one(data: Any, /) -> None:
    pass

@action(inline=True, concurrency=2)
def pair(data: Any, /) -> None:
    pass
"""

few = st.integers(1, 8)
sizes = st.lists(st.integers(2, 60), min_size=1, max_size=8)


class Model(Watcher):
    """What waits, as far as its commit was reported, and what a consumer holds."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, int] = {}  # ranks
        self.limited: set[bytes] = set()
        self.early: set[bytes] = set()  # delivered before their commits were reported
        self.out: dict[bytes, TaskMessage] = {}
        self.wrong: list[str] = []
        self.void: set[bytes] = set()  # cancelled
        self.redriven: set[bytes] = set()  # perhaps in the midst of a draw, as a void message is let go
        self.unproven: set[bytes] = set()  # plain ones that the last run had handed out when it was killed

    def reported(self, message: TaskMessage) -> None:
        key = message.key
        self.void.discard(key)
        if key in self.early:
            self.early.discard(key)
        else:
            self.waiting[key] = rank_of(message)

    def cancelled(self, key: bytes) -> None:
        self.waiting.pop(key, None)
        self.void.add(key)

    def delivered(self, message: TaskMessage) -> None:
        key = message.key
        self.must(key not in self.void, "it was cancelled")
        self.must(key not in self.out, "it is handed out twice at a time")
        if key in self.waiting:
            rank = self.waiting.pop(key)
            free = self.waiting.keys() - self.limited - self.redriven
            better = [other for other in free if self.waiting[other] < rank]
            self.must(key in self.limited or not better, f"better ones wait: {better}")
        else:
            self.early.add(key)
        self.out[key] = message
        self.must(key not in self.unproven or message.careful, "it may have killed the last run")

    def must(self, right: bool, otherwise: str) -> None:
        """Take note of what is wrong: in here, an exception would end in some callback."""
        if not right:
            self.wrong.append(otherwise)


def rank_of(message: TaskMessage) -> int:
    return time_in(message.key) if message.place is None else place_of(message)[0]


class DispatcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(window, "READ_AT_ONCE", 5)
        self.patch.setattr(window, "READ_PAUSE", 0.001)
        self.patch.setattr(limits, "READ_PAUSE", 0.001)
        self.patch.setattr(limits, "PARKED", 3)
        self.directory = TemporaryDirectory()
        actions = Path(self.directory.name)
        (actions / "actions.py").write_text(ACTIONS)
        self.stage = Stage(actions, actions)
        self.model = Model()
        self.submitted: list[bytes] = []
        self.limited: set[bytes] = set()
        self.cancelled: set[bytes] = set()
        self.length = 0
        self.resumed = 0  # tasks that ran by their rows when this run began: they have to wait in memory

    def begin(self, length: int, killed: bool, unproven: Collection[bytes] = ()) -> None:
        """Begin a run: all that is queued by its row waits, and what runs by its row comes first."""
        self.length = length
        self.model = Model()
        self.model.limited = self.limited
        self.model.unproven.update(unproven)
        self.resumed = 0
        for key, status, rank, _ in self.stage.rows() if self.submitted else ():
            self.resumed += status == Status.RUNNING
            if status in (Status.QUEUED, Status.RUNNING):
                first = -(2**62) if status == Status.RUNNING else None
                self.model.waiting[key] = first or (time_in(key) if rank is None else rank)
        self.stage.begin(length, MAX_BYTES, killed=killed, watcher=self.model)

    @initialize(length=few)
    def first_run(self, length: int) -> None:
        self.begin(length, False)

    @rule(sizes=sizes, settle=st.booleans())
    def submit_plain(self, sizes: list[int], settle: bool) -> None:
        self.submit("anything", sizes, settle)

    @rule(sizes=sizes, later=st.integers(-3, 3), priority=st.sampled_from([0, 0, 9]), settle=st.booleans())
    def submit_ranked(self, sizes: list[int], later: int, priority: int, settle: bool) -> None:
        rank = int(time() * 1000) + later * 1000 - priority * 600_000
        self.submit("anything", sizes, settle, rank=rank, priority=priority)

    @rule(sizes=sizes, limit=st.sampled_from(sorted(LIMITS)), later=st.integers(-3, 3), settle=st.booleans())
    def submit_limited(self, sizes: list[int], limit: str, later: int, settle: bool) -> None:
        rank = int(time() * 1000) + later * 1000
        self.limited.update(self.submit(limit, sizes, False, rank=rank, limit_key=limit))
        if settle:
            self.stage.settle()

    def submit(self, name: str, sizes: list[int], settle: bool, **place: Any) -> list[bytes]:
        keys = self.stage.submit(name, ['"' + "x" * (size - 2) + '"' for size in sizes], **place)
        self.submitted += keys
        if settle:
            self.stage.settle()
        return keys

    @rule(credit=st.integers(0, 10))
    def consumer_takes(self, credit: int) -> None:
        self.stage.allow(credit)

    @rule(count=few, settle=st.booleans())
    def finish(self, count: int, settle: bool) -> None:
        self.let_go(self.stage.finish, count, settle)

    @rule(count=few, settle=st.booleans())
    def fail_and_retry(self, count: int, settle: bool) -> None:
        self.let_go(self.stage.retry, count, settle)

    def let_go(self, ends: Any, count: int, settle: bool) -> None:
        for message in self.stage.hand.held[:count]:
            del self.model.out[message.key]
        ends(count)
        if settle:
            self.stage.settle()

    @rule(count=few)
    def note_as_running(self, count: int) -> None:
        self.stage.note(count)

    @rule(number=st.integers(0, 100))
    def cancel(self, number: int) -> None:
        if self.submitted:
            key = self.submitted[number % len(self.submitted)]
            self.stage.run(self.stage.service.control.cancel([key]))
            self.cancelled.add(key)

    @rule(number=st.integers(0, 100))
    def redrive(self, number: int) -> None:
        if self.submitted:
            key = self.submitted[number % len(self.submitted)]
            self.stage.report()  # whoever redrives a task has heard of its end
            self.model.void.discard(key)
            self.model.redriven.add(key)
            self.stage.run(self.stage.service.control.retry([key]))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        control = self.stage.service.control
        self.stage.run(control.pause("tasks", "a test") if paused else control.resume("tasks"))

    @rule(times=st.integers(1, 5))
    def loop_turns(self, times: int) -> None:
        self.stage.turn(times)

    @rule()
    def everything_settles(self) -> None:
        self.stage.settle()

    @rule()
    def reads_are_held_back(self) -> None:
        self.stage.reader.open.clear()

    @rule()
    def reads_end(self) -> None:
        self.stage.reader.open.set()
        self.stage.settle()

    @rule()
    def commits_are_not_reported_yet(self) -> None:
        self.stage.hold_reports()

    @rule()
    def commits_are_reported(self) -> None:
        self.stage.report()

    @rule()
    def next_read_fails(self) -> None:
        self.stage.reader.failures = 1

    @rule(kill=st.booleans(), length=few)
    def restart(self, kill: bool, length: int) -> None:
        held = {message.key for message in self.stage.hand.held if message.place is None}
        proven = not kill or length < self.length
        self.stage.end(kill=kill)
        self.deliveries_are_right()
        self.begin(length, kill, set() if proven else held)

    @invariant()
    def deliveries_are_right(self) -> None:
        assert self.model.wrong == []

    @invariant()
    def limits_hold(self) -> None:
        for limit, most in LIMITS.items():
            held = [one for one in self.model.out.values() if one.place and one.place.limit_key == limit]
            assert len(held) <= most

    @invariant()
    def memory_is_bounded(self) -> None:
        if not self.length:
            return
        stage = self.stage
        assert stage.channel.length() <= self.length
        assert stage.reader.read_bytes < MAX_BYTES + 60
        ranked = stage.dispatcher._ranked
        assert len(ranked.waiting) <= 2 * self.length + self.resumed
        parked = len(LIMITS) * 3 + self.resumed
        assert len(ranked.known) <= len(ranked.waiting) + stage.channel.length() + parked
        assert len(stage.dispatcher._plain) <= self.length

    def teardown(self) -> None:
        try:
            if self.length:
                self.drain()
            self.stage.close()
        finally:
            self.patch.undo()
            self.directory.cleanup()

    def drain(self) -> None:
        """Let all run: then each task has ended, and nothing is remembered."""
        stage = self.stage
        self.pause(False)
        self.reads_end()
        stage.report()
        self.consumer_takes(10)
        for _ in range(10 * len(self.submitted) + 10):
            self.finish(8, settle=True)
            if all(status in ENDED for status in stage.statuses().values()):
                break
        stage.settle()
        self.deliveries_are_right()
        for key, status in stage.statuses().items():
            assert status == Status.COMPLETED or (key in self.cancelled and status == Status.CANCELLED)
        assert not stage.hand.held
        assert stage.channel.length() == 0
        assert stage.channel.room() == stage.channel.capacity
        assert not stage.dispatcher._ranked.known
        assert not stage.dispatcher._ranked.waiting
        assert not stage.dispatcher._plain
        assert stage.dispatcher._ranked.bytes == stage.dispatcher._plain_bytes == 0
        assert stage.dispatcher._ranked.edge.at is None
        assert not stage.service.traffic.dropped
        assert not stage.service.traffic._following
        assert not stage.reader.changes._changed
        assert not stage.service.limits._limiters
        assert stage.service.limits._bytes == 0


TestDispatcherMachine = DispatcherMachine.TestCase
TestDispatcherMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
