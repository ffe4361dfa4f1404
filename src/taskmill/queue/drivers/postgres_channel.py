"""One queue in PostgreSQL: claims in batches as receivers want more, and settles in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from taskmill.queue.drivers import postgres_rows as rows
from taskmill.queue.drivers.base import Receiver
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.outage import Outage
from taskmill.queue.drivers.postgres_database import Database, Transaction
from taskmill.queue.drivers.receivers import Receivers
from taskmill.queue.errors import MessageTooLarge, QueueError, QueueUnavailable
from taskmill.queue.message import Message

T = TypeVar("T")

BATCH = 500  # messages a claim takes at most
SLACK = 100  # places before the last one claimed that are looked at again: commits come out of order
LIMIT = 10.0  # seconds within which a statement must have been committed
PATIENCE = 3.0  # seconds that a stop waits for the database
LARGEST = 2**26  # bytes of a body


class _Row(Message):
    """A message, and its place in the queue."""

    __slots__ = ("seq",)

    def __init__(self, seq: int, id: str, body: str, headers: dict[str, str]) -> None:  # noqa: A002
        super().__init__(id, body, headers)
        self.seq = seq


class PostgresChannel:
    """One queue in PostgreSQL; see :class:`taskmill.queue.drivers.base.Channel`.

    ``entry_id`` is the driver's, for messages; ``holder`` names this process in the rows.
    """

    def __init__(
        self,
        database: Database,
        entry_id: str,
        holder: bytes,
        lease: float,
        poll_interval: float,
        name: str,
        redelivery: Callable[[int], float],
    ) -> None:
        self._database = database
        self._what = f"{entry_id} (queue {name} in PostgreSQL)"
        self._name = name
        self._redelivery = redelivery
        self._holder = holder
        self._lease = lease
        self._poll_interval = poll_interval
        self._receivers = Receivers(self._settle)
        self._held: dict[int, _Row] = {}  # by place
        self._acks: list[int] = []
        self._nacks: list[tuple[int, float, int]] = []  # place, rest, deliveries
        self._renewed = 0.0
        self._after = 0  # where the next claim begins to look
        self._asked = False  # there was credit at a pump: one that takes turns has none at other times
        self._whole_look = 0.0  # when the queue is to be looked through from its start
        self._whole_pause = poll_interval
        self._claim: asyncio.Task[None] | None = None
        self._stirred = asyncio.Event()
        self._settled = asyncio.Event()
        self._closed = False
        outage = Outage(self._what)
        self._taking = Loop("taking", outage, self._take_round, limit=LIMIT)
        self._settling = Loop("settling", outage, self._settle_round, limit=LIMIT)
        self._topics = f"queue:{name}", f"queue-back:{name}"
        database.signals.on(self._topics[0], self._stirred.set)
        database.signals.on(self._topics[1], self._look_whole)
        self._taking.start()
        self._settling.start()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish, and return once the rows are committed."""
        if self._closed:
            raise QueueError(f"{self._what} has stopped")
        for message in messages:
            if len(message.body) > LARGEST:
                raise MessageTooLarge(
                    f"{self._what} takes bodies up to {LARGEST} characters: keep files elsewhere"
                )
        await self._write(
            lambda transaction: transaction.change(
                rows.PUBLISH,
                queue_=self._name,
                ids_=[message.id() for message in messages],
                bodies_=[message.body for message in messages],
                headers_=[msgspec.json.encode(dict(message.headers())).decode() for message in messages],
            )
        )
        self._stirred.set()
        self._database.signals.send(self._topics[0])

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.add(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        self._receivers.remove(receiver)
        if not self._receivers:
            self._give_back(self._receivers.take_back())

    def pump(self) -> None:
        """Give what waits here, and take more where receivers want it."""
        self._receivers.give()
        if self._receivers.wanted() > 0:
            self._asked = True
            self._stirred.set()

    def receivers(self) -> int:
        """How many receivers have subscribed here."""
        return len(self._receivers)

    async def depth(self) -> int:
        """How many messages wait or rest, or were held by one that has died."""
        found = await self._write(lambda transaction: transaction.fetch(rows.DEPTH, queue_=self._name))
        return int(found[0][0])

    async def purge(self) -> None:
        """Drop what waits or rests."""
        await self._write(lambda transaction: transaction.change(rows.PURGE, queue_=self._name))

    def problem(self) -> str | None:
        """Why messages do not move."""
        if self._closed:
            return f"{self._what} has stopped"
        return self._taking.problem() or self._settling.problem()

    async def close(self) -> None:
        """Write what was settled, and give back the rest at once."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(self._taking.stop(), self._settling.stop())
        if self._claim is not None:
            await asyncio.wait([self._claim], timeout=PATIENCE)
        self._receivers.take_back()
        self._nacks += [(row.seq, 0.0, row.deliveries) for row in self._held.values()]
        self._held.clear()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._hand_in()
        except (TimeoutError, QueueUnavailable):
            return  # their leases run out

    async def _take_round(self) -> None:
        """Claim as much as there is credit for; where that was all there is, wait for a hint, or a while."""
        self._stirred.clear()
        wanted, self._asked = min(BATCH, self._receivers.wanted()) or int(self._asked), False
        if wanted > 0 and self._receivers:
            if self._claim is None or self._claim.done():
                self._claim = asyncio.create_task(self._take(wanted), name=f"claim {self._name}")
            # Broken off, it would leave rows claimed that nobody knows of.
            await asyncio.shield(self._claim)
        try:
            async with asyncio.timeout(self._poll_interval):
                await self._stirred.wait()
        except TimeoutError:
            self._asked = self._receivers.wanted() > 0

    async def _take(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        whole = begun >= self._whole_look
        after = 0 if whole else max(0, self._after - SLACK)
        found = await self._write(
            lambda transaction: transaction.fetch(
                rows.CLAIM,
                queue_=self._name,
                after_=after,
                limit_=limit,
                holder_=self._holder,
                lease_=self._lease,
            )
        )
        last = max((row[0] for row in found), default=0)
        if len(found) == limit:
            self._stirred.set()  # there may be more
        if whole and len(found) == limit:
            self._after = last  # go on from there
        else:
            self._after = max(self._after, last)
        if whole:
            # It passes over all that is dead and not vacuumed yet, so it may take a twentieth of the time only.
            self._whole_look = loop.time() + max(self._poll_interval, 20 * (loop.time() - begun))
        self._taken(found)

    def _taken(self, found: Sequence[Any]) -> None:
        messages = []
        for seq, id_, body, headers, deliveries in sorted(found):
            if seq in self._held:  # its lease was over, and nobody else had taken it
                continue
            row = _Row(seq, id_, body, msgspec.json.decode(headers))
            row.deliveries = deliveries - 1
            self._held[seq] = row
            messages.append(row)
        if self._receivers or self._closed:
            self._receivers.give(messages)
        else:
            self._give_back(messages)

    def _settle(self, message: Message, acknowledged: bool) -> None:
        if not isinstance(message, _Row) or self._held.pop(message.seq, None) is None:
            return
        if acknowledged:
            self._acks.append(message.seq)
        else:
            self._nacks.append((message.seq, self._redelivery(message.deliveries), message.deliveries))
        self._settled.set()

    def _give_back(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, _Row) and self._held.pop(message.seq, None) is not None:
                self._nacks.append((message.seq, 0.0, message.deliveries))
        self._settled.set()

    def _look_whole(self) -> None:
        self._whole_look = 0.0
        self._stirred.set()

    async def _settle_round(self) -> None:
        """Write what has been settled meanwhile, and renew the leases in time."""
        loop = asyncio.get_running_loop()
        if not self._acks and not self._nacks:
            self._settled.clear()
            pause = min(self._lease / 3, LIMIT / 2)  # a round that waits is none that hangs
            try:
                async with asyncio.timeout(pause):
                    await self._settled.wait()
            except TimeoutError:
                pass
        await self._hand_in(renew=loop.time() - self._renewed > self._lease / 3)

    async def _hand_in(self, renew: bool = False) -> None:
        acks, nacks, held = list(self._acks), list(self._nacks), list(self._held)
        if not acks and not nacks and not (renew and held):
            return

        def write(transaction: Transaction) -> None:
            if acks:
                transaction.change(rows.ACK, queue_=self._name, seqs_=acks)
            if nacks:
                seqs, rests, deliveries = map(list, zip(*nacks, strict=True))
                transaction.change(
                    rows.NACK,
                    queue_=self._name,
                    holder_=self._holder,
                    seqs_=seqs,
                    rests_=rests,
                    deliveries_=deliveries,
                )
            if renew and held:
                transaction.change(
                    rows.RENEW, queue_=self._name, holder_=self._holder, seqs_=held, lease_=self._lease
                )

        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._write(write)
        del self._acks[: len(acks)], self._nacks[: len(nacks)]
        if renew:
            self._renewed = began
        # Their places are before those that a claim looks at.
        for rest in {rest for _, rest, _ in nacks if rest > 0}:
            loop.call_later(rest, self._database.signals.send, self._topics[1])
        if any(rest == 0 for _, rest, _ in nacks):
            self._database.signals.send(self._topics[1])

    async def _write(self, call: Callable[[Transaction], T]) -> T:
        try:
            return await self._database.write(call)
        except Exception as error:
            raise QueueUnavailable(f"{self._what}: {error or type(error).__name__}") from error
