"""The dispatcher against a model of the rows, through commits, reads, pauses, crashes and restarts in any order."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dispatching import Stage
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from taskmill.tasks import dispatcher
from taskmill.tasks.model import Status

EXAMPLES = int(os.environ.get("TASKMILL_EXAMPLES", "40"))
MAX_BYTES = 100

few = st.integers(1, 8)


class DispatcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(dispatcher, "READ_AT_ONCE", 5)
        self.patch.setattr(dispatcher, "READ_PAUSE", 0.001)
        self.directory = TemporaryDirectory()
        self.stage = Stage(Path(self.directory.name))
        self.submitted: list[bytes] = []  # in the order of their ids
        self.finished: set[bytes] = set()
        self.before: set[bytes] = set()  # finished in an earlier run
        self.attempts: dict[bytes, int] = {}  # what their rows say, of those that run
        self.released: dict[bytes, int] = {}  # the same of those whose attempt was taken back
        self.resumed: list[bytes] = []  # whose rows said that they ran, at the start of this run
        self.suspects: set[bytes] = set()
        self.expected: dict[bytes, int] = {}  # attempts that their messages tell of in this run
        self.length = 0

    @initialize(length=few)
    def first_run(self, length: int) -> None:
        self.length = length
        self.stage.begin(length, MAX_BYTES)

    @rule(sizes=st.lists(st.integers(2, 60), min_size=1, max_size=8), settle=st.booleans())
    def submit(self, sizes: list[int], settle: bool) -> None:
        keys = self.stage.submit("anything", ['"' + "x" * (size - 2) + '"' for size in sizes])
        self.submitted += keys
        if settle:
            self.stage.settle()

    @rule(credit=st.integers(0, 10))
    def consumer_takes(self, credit: int) -> None:
        self.stage.hand.allowed = credit
        self.stage.channel.pump()

    @rule(count=few, settle=st.booleans())
    def finish(self, count: int, settle: bool) -> None:
        self.finished.update(self.stage.finish(count))
        if settle:
            self.stage.settle()

    @rule(count=few)
    def note_as_running(self, count: int) -> None:
        for message in self.stage.note(count):
            self.attempts[message.key] = message.attempt

    @rule(times=st.integers(1, 5))
    def loop_turns(self, times: int) -> None:
        self.stage.turn(times)

    @rule()
    def everything_settles(self) -> None:
        self.stage.settle()

    @rule()
    def reads_are_held_back(self) -> None:
        self.stage.store.open.clear()

    @rule()
    def reads_end(self) -> None:
        self.stage.store.open.set()
        self.stage.settle()

    @rule()
    def commits_are_not_reported_yet(self) -> None:
        self.stage.reports_open = False

    @rule()
    def commits_are_reported(self) -> None:
        self.stage.report()

    @rule()
    def next_read_fails(self) -> None:
        self.stage.store.failures = 1

    @rule(kill=st.booleans(), length=few)
    def restart(self, kill: bool, length: int) -> None:
        self.stage.end(kill=kill)
        self.check_deliveries()
        in_flight = {message.key for message in self.stage.hand.held}
        if not kill:
            for message in self.stage.hand.held:
                if message.noted:
                    self.released[message.key] = self.attempts.pop(message.key) - 1
        self.before = set(self.finished)
        left = [key for key in self.submitted if key not in self.finished]
        self.resumed = [key for key in left if key in self.attempts]
        queued = [key for key in left if key not in self.resumed]
        self.suspects = {*self.resumed, *(queued[:length] if kill else [])}
        if kill and length >= self.length:
            assert in_flight <= self.suspects
        self.expected = self.released | self.attempts
        self.length = length
        self.stage.begin(length, MAX_BYTES, killed=kill)

    @invariant()
    def check_deliveries(self) -> None:
        if not self.length:
            return
        delivered = [message.key for message in self.stage.hand.delivered]
        first = delivered[: len(self.resumed)]
        assert first == self.resumed[: len(first)], "what was running comes first"
        queued = [key for key in self.submitted if key not in self.before and key not in self.resumed]
        rest = delivered[len(first) :]
        assert rest == queued[: len(rest)], "each task once, oldest first, none skipped"
        for message in self.stage.hand.delivered:
            assert message.suspect == (message.key in self.suspects)
            assert message.attempts == self.expected.get(message.key, 0)

    @invariant()
    def check_window(self) -> None:
        if not self.length:
            return
        assert self.stage.channel.depth() <= self.length
        assert self.stage.channel.room().bytes >= 0
        assert self.stage.store.read_bytes < MAX_BYTES + 60

    def teardown(self) -> None:
        try:
            if self.length:
                self.drain()
            self.stage.close()
        finally:
            self.patch.undo()
            self.directory.cleanup()

    def drain(self) -> None:
        self.reads_end()
        self.stage.report()
        self.consumer_takes(10)
        for _ in range(10 * len(self.submitted) + 10):
            if len(self.finished) == len(self.submitted):
                break
            self.finish(8, settle=True)
            self.check_deliveries()
        self.stage.settle()
        assert self.stage.statuses() == dict.fromkeys(self.submitted, Status.COMPLETED.value)
        assert self.stage.channel.depth() == 0
        assert self.stage.channel.room() == self.stage.channel.capacity


TestDispatcherMachine = DispatcherMachine.TestCase
TestDispatcherMachine.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
