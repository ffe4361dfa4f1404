"""Several queues of an engine in front of one consumer, which takes of each by its weight."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from drivers import Engine, name, run, until

from taskmill.queue import Message
from taskmill.queue.weights import Turns


class Slow:
    """Handles one message after the other, each for some milliseconds, with some in reserve."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.turns: Turns | None = None
        self._held: list[Message] = []
        self._busy = False

    def credit(self) -> int:
        return 12 - len(self._held)

    def receive(self, messages: Sequence[Message]) -> None:
        self._held += messages
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_later(0.005, self._handled)

    def _handled(self) -> None:
        message = self._held.pop(0)
        self.done.append(message.id())
        message.ack()
        if self._held:
            asyncio.get_running_loop().call_later(0.005, self._handled)
        else:
            self._busy = False
        if self.turns is not None:
            self.turns.pump()


def test_queues_are_served_by_their_weights_and_none_is_left_out(engine: Engine) -> None:
    async def scenario() -> None:
        first, second = name(), name()
        async with engine.open(first) as often, engine.open(second) as seldom:
            for start in range(0, 60, 20):
                ids = range(start, start + 20)
                await often.publish([Message(f"often-{i}", "{}") for i in ids])
                await seldom.publish([Message(f"seldom-{i}", "{}") for i in ids])
            consumer = Slow()
            consumer.turns = turns = Turns(consumer, [(often, 3), (seldom, 1)])
            turns.start()
            await until(lambda: len(consumer.done) >= 50)
            share = Counter(id_.partition("-")[0] for id_ in consumer.done[10:50])
            assert 24 <= share["often"] <= 36, share
            await until(lambda: len(set(consumer.done)) == 120)
            turns.stop()
            assert (often.receivers(), seldom.receivers()) == (0, 0)

    run(scenario)


def test_a_message_to_an_idle_queue_of_several_is_handled_at_once(engine: Engine) -> None:
    async def scenario() -> None:
        async with engine.open(name()) as one, engine.open(name()) as other:
            consumer = Slow()
            consumer.turns = turns = Turns(consumer, [(one, 3), (other, 1)])
            turns.start()
            for count in range(1, 6):
                await other.publish([Message(str(count), "{}")])
                await until(lambda count=count: len(consumer.done) == count, 5)
            turns.stop()

    run(scenario)
