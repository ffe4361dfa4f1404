"""A consumer of several queues takes messages in proportion to their weights, and never holds more than it may."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from consuming import Counted, Tally, run, until
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill import application, queue
from taskmill.application import BUILTIN
from taskmill.process.function import FunctionConfig, PythonFunction
from taskmill.queue import Consumer, MemoryDriver, Queue, Slot, handoff
from taskmill.queue.consumer import ConsumerConfig
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.queue.queue import QueueConfig, Redelivery
from taskmill.registry import Entry, RegistryError
from taskmill.supervisor import Component, Context
from taskmill.units import Duration

EXAMPLES = int(os.environ.get("TASKMILL_EXAMPLES", "25"))
Handler = Callable[[Any], Awaitable[bool]] | Callable[[Slot], None]


class Weighted:
    """Some queues of one driver, and consumers of them."""

    def __init__(self, *names: str) -> None:
        self.tally = Tally()
        self.taken: list[str] = []  # names of queues, in the order in which their messages are handled
        self._parts: dict[str, Component] = {}
        self._context = Context(self._parts, self._failed, data_dir=Path(), app_dir=Path())
        self._driver = MemoryDriver(
            _entry(MemoryConfig(name="driver", kind="queue.driver.memory")), self._context
        )
        self._parts["app:driver"] = self._driver
        self.queues: dict[str, Queue] = {}
        self.consumers: list[Consumer] = []
        retry = Redelivery(initial_delay=Duration(0.001), backoff_factor=1)
        for name in names:
            config = QueueConfig(name=name, kind="queue.queue", driver="app:driver", retry=retry)
            self.queues[name] = Queue(_entry(config), self._context)
            self._parts[f"app:{name}"] = self.queues[name]

    async def start(self) -> None:
        await self._driver.start()
        for one in self.queues.values():
            await one.start()

    async def consume(
        self, weights: Mapping[str, int], call: Handler, concurrency: int = 1, prefetch: int = 0
    ) -> None:
        function = PythonFunction(
            _entry(FunctionConfig(name="f", kind="function.python", source="file://x.py", method="x")),
            self._context,
        )
        function.call = call
        self._parts["app:f"] = function
        config = ConsumerConfig(
            name=f"consumer{len(self.consumers)}",
            kind="queue.consumer",
            queues={f"app:{name}": weight for name, weight in weights.items()},
            func="app:f",
            concurrency=concurrency,
            prefetch=prefetch,
        )
        consumer = Consumer(_entry(config), self._context)
        await consumer.start()
        self.consumers.append(consumer)

    async def publish(self, name: str, count: int) -> None:
        await self.queues[name].channel.publish(
            [Counted(f"{name}{number}", self.tally, f'"{name}"') for number in range(count)]
        )

    def depth(self) -> int:
        return sum(one.window.length() for one in self.queues.values())

    async def stop(self) -> None:
        for consumer in self.consumers:
            await consumer.stop()
        await self._driver.stop()

    async def handle(self, data: str) -> bool:
        """Note where the message came from, and take a moment."""
        with self.tally.run(queue.message().id()):
            self.taken.append(data)
            await asyncio.sleep(0)
        return True

    def _failed(self, entry: str, error: BaseException) -> None:
        raise AssertionError(entry) from error


def _entry(config: Any) -> Entry[Any]:
    return Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, Path(), ())


def inline(stage: Weighted) -> Handler:
    """Handle messages as inline actions are: at once, within the delivery."""

    @handoff
    def handle(slot: Slot) -> None:
        while message := slot.take():
            with stage.tally.run(message.id()):
                stage.taken.append(message.data)
            message.ack()
        slot.free()

    return handle


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("concurrency", "prefetch"), [(1, 0), (2, 5), (10, 0)])
def test_messages_are_taken_in_proportion_to_the_weights(
    concurrency: int, prefetch: int, at_once: bool
) -> None:
    async def scenario() -> None:
        stage = Weighted("mail", "reports", "rest")
        await stage.start()
        for name in stage.queues:
            await stage.publish(name, 300)
        handler = inline(stage) if at_once else stage.handle
        await stage.consume({"mail": 5, "reports": 2, "rest": 1}, handler, concurrency, prefetch)
        await until(lambda: stage.depth() == 0)
        await stage.stop()
        for start in range(0, 400, 8):  # while all three have work
            assert Counter(stage.taken[start : start + 8]) == {"mail": 5, "reports": 2, "rest": 1}
        assert stage.taken[:8] != sorted(stage.taken[:8]), "they take turns, and do not send in blocks"
        assert Counter(stage.taken) == dict.fromkeys(stage.queues, 300)

    run(scenario)


def test_the_lightest_of_queues_does_not_starve() -> None:
    async def scenario() -> None:
        stage = Weighted("heavy", "light")
        await stage.start()
        await stage.publish("heavy", 3000)
        await stage.publish("light", 20)
        await stage.consume({"heavy": 100, "light": 1}, stage.handle, 2, 5)
        await until(lambda: stage.depth() == 0)
        await stage.stop()
        places = [place for place, name in enumerate(stage.taken) if name == "light"]
        assert places[0] <= 101
        assert all(later - sooner <= 101 for sooner, later in pairwise(places))

    run(scenario)


def test_a_queue_that_is_alone_gets_every_place_and_owes_nothing_for_it() -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def handle(data: str) -> bool:
            with stage.tally.run(queue.message().id()):
                stage.taken.append(data)
                if len(stage.taken) == 200:
                    await stage.publish("mail", 100)
                await release.wait()
                await asyncio.sleep(0)
            return True

        stage = Weighted("mail", "reports")
        await stage.start()
        await stage.consume({"mail": 9, "reports": 1}, handle, concurrency=4)
        await stage.publish("reports", 500)
        await until(lambda: stage.tally.running == 4)
        release.set()
        await until(lambda: stage.depth() == 0)
        await stage.stop()
        after = stage.taken[204:244]  # four were under way
        assert 4 <= after.count("reports") <= 5, "nine of ten are for the heavier one at once, and no more"

    run(scenario)


def test_a_message_that_comes_to_an_idle_consumer_is_taken_at_once_from_either_queue() -> None:
    async def scenario() -> None:
        stage = Weighted("mail", "reports")
        await stage.start()
        await stage.consume({"mail": 9, "reports": 1}, stage.handle)
        for name in ("reports", "mail", "reports", "reports", "mail"):
            await stage.publish(name, 1)
            await until(lambda: stage.depth() == 0)
        await stage.stop()
        assert stage.taken == ["reports", "mail", "reports", "reports", "mail"]

    run(scenario)


publications = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(0, 3)), max_size=12)
consumers = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1),
        st.integers(1, 3),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(publications=publications, consumers=consumers, at_once=st.booleans())
def test_no_credit_is_promised_twice_and_every_message_is_handled_once(
    publications: list[tuple[str, int, int]], consumers: list[tuple[dict[str, int], int, int]], at_once: bool
) -> None:
    async def scenario() -> None:
        stage = Weighted("a", "b", "c")
        await stage.start()
        for weights, concurrency, prefetch in consumers:
            await stage.consume(weights, inline(stage) if at_once else stage.handle, concurrency, prefetch)
        served = {name for weights, _, _ in consumers for name in weights}
        sent: Counter[str] = Counter()
        for name, count, turns in publications:
            if name in served:
                await stage.publish(name, count)
                sent[name] += count
            for _ in range(turns):
                await asyncio.sleep(0)
        await until(lambda: stage.depth() == 0)
        await stage.stop()
        assert Counter(stage.taken) == sent
        assert stage.tally.most_running <= sum(concurrency for _, concurrency, _ in consumers)
        assert stage.tally.most_held <= sum(concurrency + prefetch for _, concurrency, prefetch in consumers)

    run(scenario)


def test_a_stop_gives_back_what_is_held_in_reserve() -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def handle(_: str) -> bool:
            await release.wait()
            return True

        stage = Weighted("a", "b")
        await stage.start()
        await stage.publish("a", 10)
        await stage.publish("b", 10)
        await stage.consume({"a": 1, "b": 1}, handle, concurrency=2, prefetch=6)
        await until(lambda: stage.tally.held == 8)
        release.set()
        await stage.consumers[0].stop()
        assert stage.tally.held == 0
        assert stage.depth() == 18
        await stage.stop()

    run(scenario)


CONSUMER = """
  - name: second_queue
    kind: queue.queue
    driver: queue_driver
  - name: other
    kind: queue.consumer
    func: process_task
"""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            "    queue: tasks_queue\n    queues: {second_queue: 1}\n",
            "field `queues`: cannot stand beside `queue`",
        ),
        ("", "field `queue`: missing: name one `queue`, or several `queues`"),
        ("    queues: {}\n", "field `queue`: missing: name one `queue`, or several `queues`"),
        ("    queues: {second_queue: 0}\n", "field `queues.second_queue`: expected whole number (at least 1"),
        (
            "    queues: {second_qeue: 1}\n",
            "no entry is named `app:second_qeue`; did you mean `app:second_queue`?",
        ),
        ("    queues: {queue_driver: 1}\n", "is a `queue.driver.memory`, expected a `queue.queue`"),
        (
            "    queues: {second_queue: 1, 'app:second_queue': 2}\n",
            "field `queues.app:second_queue`: given twice",
        ),
    ],
)
def test_mistakes_in_the_queues_are_named(tmp_path: Path, fields: str, said: str) -> None:
    text = (BUILTIN / "_index.yaml").read_text() + CONSUMER + fields
    (tmp_path / "_index.yaml").write_text(text)
    (tmp_path / "actions.py").write_text("")
    with pytest.raises(RegistryError) as raised:
        application.read(tmp_path)
    assert said in str(raised.value)


def test_a_consumer_starts_after_all_its_queues(tmp_path: Path) -> None:
    text = (
        (BUILTIN / "_index.yaml").read_text()
        + CONSUMER
        + "    queues: {tasks_queue: 3, 'app:second_queue': 1}\n"
    )
    (tmp_path / "_index.yaml").write_text(text)
    (tmp_path / "actions.py").write_text("")
    registry = application.read(tmp_path)
    assert {"app:tasks_queue", "app:second_queue"} <= registry.dependencies["app:other"]
