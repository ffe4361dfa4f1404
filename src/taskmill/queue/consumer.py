"""``queue.consumer``: a queue bound to a function, with so many at work and so many in reserve."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from msgspec import Meta, field

from taskmill.queue.access import current_message
from taskmill.queue.drivers.base import Channel
from taskmill.queue.gathering import Gathering
from taskmill.queue.message import Message
from taskmill.queue.queue import Queue
from taskmill.queue.slot import Slot
from taskmill.queue.weights import Turns
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context

logger = logging.getLogger(__name__)
F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__taskmill_handoff__"
TURN = 64  # messages in a row before the loop serves its sockets again


def handoff(handler: F) -> F:
    """Mark a function that takes messages out of its :class:`Slot` itself: ``handler(slot)``.

    It is called on the loop, must not block, acknowledges its messages whenever it likes (after a commit,
    say), and gives the slot back by :meth:`Slot.free`.
    """
    setattr(handler, _MARK, True)
    return handler


@runtime_checkable
class Function(Protocol):
    """What a consumer needs of a ``function.python`` entry."""

    call: Callable[..., Any]

    def invoke(self, *args: Any, threads: Executor | None = None) -> Awaitable[Any]:
        """Run the function: ``async def`` on the loop, ``def`` in one of the threads."""


class ConsumerConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Binds a queue, or several, to a function.

    The function gets the message's data. Returning true acknowledges the message; false or an exception has
    it delivered again.
    """

    queue: Annotated[
        Annotated[str, reference("queue.queue")] | None,
        Meta(description="Where messages come from: this, or `queues`."),
    ] = None
    queues: Annotated[
        dict[Annotated[str, reference("queue.queue")], Annotated[int, Meta(ge=1, le=1000)]],
        Meta(
            description="Several queues, each with its weight: `{mail: 3, reports: 1}`. "
            "Where both have work, so many messages of each are taken in turn."
        ),
    ] = field(default_factory=dict)
    func: Annotated[str, reference("function.python", description="What handles a message.")]
    concurrency: Annotated[int, Meta(ge=1, le=1000, description="How many messages are handled at once.")] = 1
    prefetch: Annotated[int, Meta(ge=0, le=10_000, description="How many more are held in reserve.")] = 10


class Source(Protocol):
    """Where a consumer's messages come from."""

    def pump(self) -> None:
        """Deliver what there is credit for."""


class Consumer:
    """Takes its queues' messages: never more than ``concurrency`` at work, nor ``concurrency + prefetch`` held."""

    kind: ClassVar[str] = "queue.consumer"
    Config: ClassVar[type[EntryConfig]] = ConsumerConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        config: ConsumerConfig = entry.config
        self.id = entry.id
        self._config = config
        self._context = context
        self._capacity = config.concurrency + config.prefetch
        self._reserve: deque[Message] = deque()
        self._in_hand = 0  # taken by a slot and not yet handled
        self._free = [Slot(self, self._capacity // config.concurrency) for _ in range(config.concurrency)]
        self._turn = 0
        self._filling = False
        self._source: Source | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        # Its own, so that as many `def`s run at once as declared, and none waits for a thread of another part.
        self._threads: ThreadPoolExecutor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self.gathering = Gathering(self._fill)
        self._due = self.gathering.due

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find a consumer of no queue, or with both ways to name them."""
        config: ConsumerConfig = entry.config
        if config.queue is None and not config.queues:
            yield Mistake("queue", "missing: name one `queue`, or several `queues` with their weights")
        if config.queue is not None and config.queues:
            yield Mistake("queues", "cannot stand beside `queue`: name all queues here, with their weights")

    async def start(self) -> None:
        """Begin to take messages."""
        function = self._context.get(self._config.func, Function)  # type: ignore[type-abstract]
        takes_slots = getattr(getattr(function.call, "func", function.call), _MARK, False)
        self._handler: Callable[[Slot], None] = function.call if takes_slots else self._handler_of(function)
        self._threads = ThreadPoolExecutor(self._config.concurrency, thread_name_prefix=self.id)
        self._subscribe()

    async def stop(self) -> None:
        """Take no more messages, give back the reserve, and wait for what is at work."""
        source, self._source = self._source, None
        if source is None:
            return
        self._unsubscribe()
        while self._reserve:
            message = self._reserve.popleft()
            message.deliveries -= 1  # nobody has seen it
            message.nack()
        self.gathering.close()
        if self._in_hand or self.gathering.held:
            self._idle.clear()
            limit = self._config.lifecycle.stop_timeout * 0.9
            try:
                await asyncio.wait_for(self._idle.wait(), limit)
            except TimeoutError:
                logger.warning(
                    "%s: %d messages were still at work after %.1f s",
                    self.id,
                    self._in_hand + self.gathering.held,
                    limit,
                )
        for task in self._tasks:
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def credit(self) -> int:
        """How many more messages may be held now."""
        if self._turn >= TURN:
            return 0
        return self._capacity - len(self._reserve) - self._in_hand

    def receive(self, messages: Sequence[Message]) -> None:
        """Hold messages, and begin to handle them where a slot is free."""
        self._reserve.extend(messages)
        self._fill()

    def take(self) -> Message | None:
        """Take a message out of the reserve for a slot; None where there is none, or the loop's turn has come."""
        if not self._reserve or self._turn >= TURN or self._due:
            return None
        self._turn += 1
        if self._turn == TURN:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._in_hand += 1
        return self._reserve.popleft()

    def done(self, count: int) -> None:
        """Count messages as handled."""
        self._in_hand -= count
        if not self._in_hand and not self.gathering.held:
            self._idle.set()

    def freed(self, slot: Slot) -> None:
        """Take a slot back, and look for work for it."""
        self._free.append(slot)
        if not self._filling:
            self._fill()
            if self._source is not None:
                self._source.pump()

    def _subscribe(self) -> None:
        """Take messages from the one queue directly, or from several in turn."""
        if self._config.queue is not None:
            channel: Channel = self._context.get(self._config.queue, Queue).front
            self._source, self._unsubscribe = channel, lambda: channel.unsubscribe(self)
            channel.subscribe(self)
            return
        weights = [
            (self._context.get(queue, Queue).front, weight) for queue, weight in self._config.queues.items()
        ]
        turns = Turns(self, weights)
        self._source, self._unsubscribe = turns, turns.stop
        turns.start()

    def _next_turn(self) -> None:
        self._turn = 0
        self._fill()
        if self._source is not None:
            self._source.pump()

    def _fill(self) -> None:
        self._filling = True
        while self._free and (self._due or (self._reserve and self._turn < TURN)):
            slot = self._free.pop()
            try:
                if self._due:
                    self._run_due(slot)
                else:
                    self._handler(slot)
            except Exception:
                logger.exception("%s: a message failed and is delivered again", self.id)
                slot.refuse()
        self._filling = False

    def _run_due(self, slot: Slot) -> None:
        """Have what was gathered be handled, before any message that is still in reserve."""
        gathered = self.gathering.next_due()
        self._in_hand += 1
        slot.begin()
        gathered.run(slot, gathered.messages)

    def _handler_of(self, function: Function) -> Callable[[Slot], None]:
        def handler(slot: Slot) -> None:
            message = slot.take()
            if message is None:
                slot.free()
                return
            task = asyncio.create_task(self._handle(function, message, slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return handler

    async def _handle(self, function: Function, message: Message, slot: Slot) -> None:
        current_message.set(message)
        acknowledged = False
        try:
            acknowledged = bool(await function.invoke(message.data, threads=self._threads))
        except (Exception, SystemExit):  # the latter must end the call, not the program
            logger.exception("%s: message %s failed and is delivered again", self.id, message.id())
        finally:
            if acknowledged:
                message.ack()
            else:
                message.nack()
            slot.free()
