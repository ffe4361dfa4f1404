"""One queue in a stream: what is published and read, handed out and settled."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import ResponseError

from taskmill.queue.drivers import redis_scripts as scripts
from taskmill.queue.drivers.base import Receiver
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.receivers import Receivers
from taskmill.queue.message import NO_HEADERS, Message

if TYPE_CHECKING:
    from taskmill.queue.drivers.redis_link import RedisLink

GROUP = "taskmill"
BLOCK = 1.0  # seconds that a read waits at the server
IDLE = 1.0  # seconds between two looks at what rests, which another process may have put there
AT_ONCE = 500  # messages in one read, and in one script
FORGET = 3600  # seconds after which a consumer that holds nothing is forgotten

Fields = dict[bytes, bytes]


class RedisMessage(Message):
    """A message and its entry in the stream."""

    __slots__ = ("entry",)

    def __init__(self, entry: bytes, fields: Fields, deliveries: int = 1) -> None:
        """Make a message of an entry that its group has delivered so many times."""
        carried = fields.get(b"headers")
        super().__init__(
            fields.get(b"id", entry).decode(errors="replace"),
            fields.get(b"body", b"null").decode(errors="replace"),
            msgspec.json.decode(carried, type=dict[str, str]) if carried else NO_HEADERS,
        )
        self.entry = entry
        self.deliveries = int(fields.get(b"before", 0)) + deliveries - 1  # handing it out counts this one


class RedisChannel:
    """One queue; see :class:`taskmill.queue.drivers.base.Channel`.

    One loop reads as many messages as there is credit for, blocking at the server while there are none. Another
    settles, renews the lease of what is held, puts back what has rested, and claims what dead holders left.
    """

    def __init__(self, link: RedisLink, name: str, redelivery: Callable[[int], float]) -> None:
        self._link = link
        self._client = link.client
        self._lease = link.config.lease
        self._redelivery = redelivery
        self._stream = f"{link.config.prefix}:{{{name}}}"  # braces keep both keys on one node of a cluster
        self._resting = f"{self._stream}:resting"
        self._me = uuid.uuid4().hex
        self._receivers = Receivers(self._settled)
        self._held: dict[bytes, RedisMessage] = {}
        self._acked: list[bytes] = []
        self._nacked: list[tuple[bytes, int, int]] = []  # entry, deliveries, milliseconds of rest
        self._claim_from = b"0-0"
        self._next_look = 0.0  # at leases
        self._next_wake = 0.0  # of what rests
        self._more_credit = asyncio.Event()
        self._settle_now = asyncio.Event()
        self._ready = False  # the group exists, and what this consumer held before a cut has been read
        self._loops = [
            Loop(f"reading queue {name}", link.outage, self._read, limit=15, failed=self._unready),
            Loop(f"settling queue {name}", link.outage, self._settle, limit=15, failed=self._unready),
        ]
        for loop in self._loops:
            loop.start()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish messages, all or none; return once the server has them."""
        with self._link.asking() as client:
            async with client.pipeline(transaction=True) as pipeline:
                for message in messages:
                    fields: dict[Any, Any] = {"id": message.id(), "body": message.body, "before": 0}
                    if message.headers():
                        fields["headers"] = msgspec.json.encode(dict(message.headers()))
                    pipeline.xadd(self._stream, fields)
                await pipeline.execute()

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.add(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        self._receivers.remove(receiver)
        self._settle_now.set()

    def pump(self) -> None:
        """Look at the receivers' credit again."""
        self._receivers.give()
        self._more_credit.set()

    def receivers(self) -> int:
        """How many receivers have subscribed."""
        return len(self._receivers)

    async def depth(self) -> int:
        """How many messages wait or rest."""
        with self._link.asking() as client:
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.xlen(self._stream)
                pipeline.zcard(self._resting)
                pipeline.xpending(self._stream, GROUP)
                length, resting, held = await pipeline.execute(raise_on_error=False)
        if isinstance(held, Exception):  # there is no group yet, and nothing is held
            held = {"pending": 0}
        return max(0, int(length) - int(held["pending"])) + int(resting)

    async def purge(self) -> None:
        """Drop every message, those that rest included."""
        with self._link.asking() as client:
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.xtrim(self._stream, maxlen=0, approximate=False)
                pipeline.delete(self._resting)
                await pipeline.execute()

    def problem(self) -> str | None:
        """Why messages do not move."""
        return self._link.problem() or next(filter(None, (loop.problem() for loop in self._loops)), None)

    async def close(self) -> None:
        """Give back what is held, at once."""
        await asyncio.gather(*[loop.stop() for loop in self._loops])
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await self._send()
                while await self._run(scripts.LEAVE, GROUP, self._me, AT_ONCE):
                    pass
        self._held.clear()

    async def _read(self) -> None:
        """Read what there is credit for, or wait for credit."""
        if not self._ready:
            await self._prepare()
        wanted = min(AT_ONCE, self._receivers.wanted())
        if not wanted:
            self._more_credit.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE):
                    await self._more_credit.wait()
            return
        found: Any = await self._client.xreadgroup(
            GROUP, self._me, {self._stream: ">"}, count=wanted, block=int(BLOCK * 1000)
        )
        for _, entries in found or ():
            self._take([RedisMessage(entry, fields) for entry, fields in entries])

    async def _prepare(self) -> None:
        """Make the group if it is missing, and take up what was delivered to this consumer and got lost on the way."""
        with contextlib.suppress(ResponseError):  # it exists
            await self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        settled = {*self._acked, *[entry for entry, _, _ in self._nacked]}
        last = b"0"
        while last:
            found: Any = await self._client.xreadgroup(GROUP, self._me, {self._stream: last}, count=AT_ONCE)
            entries = found[0][1] if found else ()
            missed = [(entry, fields) for entry, fields in entries if fields and entry not in settled]
            self._take([RedisMessage(entry, fields) for entry, fields in missed])
            last = entries[-1][0] if entries else b""
        self._ready = True

    def _unready(self) -> None:
        self._ready = False

    def _take(self, messages: Sequence[RedisMessage]) -> None:
        new = [message for message in messages if message.entry not in self._held]
        self._held.update({message.entry: message for message in new})
        self._receivers.give(new)

    def _settled(self, message: Message, acknowledged: bool) -> None:
        self._end(message, None if acknowledged else round(self._redelivery(message.deliveries) * 1000))

    def _end(self, message: Message, rest: int | None) -> None:
        """Hold a message no more: it rests for so many milliseconds, or is done with."""
        if not isinstance(message, RedisMessage) or self._held.pop(message.entry, None) is None:
            return
        if rest is None:
            self._acked.append(message.entry)
        else:
            self._nacked.append((message.entry, message.deliveries, rest))
        self._settle_now.set()

    async def _settle(self) -> None:
        """Send what has been settled; look after what is held, rests, or was left by the dead."""
        loop = asyncio.get_running_loop()
        if not self._receivers:  # what has come since the last one left goes to other processes at once
            for message in self._receivers.take_back():
                self._end(message, 0)
        await self._send()
        if loop.time() >= self._next_wake:
            rest = await self._run(scripts.WAKE, AT_ONCE)
            self._next_wake = loop.time() + (IDLE if rest < 0 else min(IDLE, rest / 1000 + 0.001))
        if loop.time() >= self._next_look and self._ready:
            await self._renew()
            await self._claim()
            self._next_look = loop.time() + self._lease / 4
        until = min(self._next_wake, self._next_look) if self._ready else self._next_wake
        if not self._settle_now.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._settle_now.wait()
        self._settle_now.clear()

    async def _send(self) -> None:
        """Tell the server of acks and nacks. What it does not confirm is told again."""
        acked, nacked = self._acked[:AT_ONCE], self._nacked[:AT_ONCE]
        if acked:
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.xack(self._stream, GROUP, *acked)
                pipeline.xdel(self._stream, *acked)
                await pipeline.execute()
            del self._acked[: len(acked)]
        if nacked:
            await self._run(scripts.NACK, GROUP, self._me, *[value for one in nacked for value in one])
            del self._nacked[: len(nacked)]
            first = min(rest for _, _, rest in nacked) / 1000
            self._next_wake = min(self._next_wake, asyncio.get_running_loop().time() + first)
        if self._acked or self._nacked:
            self._settle_now.set()

    async def _renew(self) -> None:
        """Renew the lease on what is held. What is another's by now is settled by that one."""
        entries = list(self._held)
        for start in range(0, len(entries), AT_ONCE):
            part = entries[start : start + AT_ONCE]
            for lost in await self._run(scripts.RENEW, GROUP, self._me, *part):
                self._held.pop(lost, None)
        await self._run(scripts.FORGET, GROUP, FORGET * 1000)

    async def _claim(self) -> None:
        """Take over what others hold and have not renewed, as far as there is credit."""
        wanted = min(AT_ONCE, self._receivers.wanted())
        if not wanted:
            return
        answer: Any = await self._client.xautoclaim(
            self._stream, GROUP, self._me, int(self._lease * 1000), self._claim_from, count=wanted
        )
        self._claim_from, claimed = answer[:2]  # later servers add what was deleted meanwhile
        found = []
        for entry, fields in claimed:
            pending: Any = await self._client.xpending_range(self._stream, GROUP, entry, entry, 1, self._me)
            if fields and pending:
                found.append(RedisMessage(entry, fields, pending[0]["times_delivered"]))
        self._take(found)

    async def _run(self, script: str, *arguments: bytes | str | int) -> Any:
        return await self._client.register_script(script)([self._stream, self._resting], arguments)
