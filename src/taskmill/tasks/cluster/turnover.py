"""The turnover: what becomes of tasks as the lead passes from node to node, and as nodes die."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from time import monotonic

from taskmill.tasks.cluster.way import Way
from taskmill.tasks.dispatch.alarm import Alarm
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.dispatch.limits import Limits
from taskmill.tasks.intake.backlog import Backlog
from taskmill.tasks.message import Dispatchable, TaskMessage, from_row
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.traffic import Traffic
from taskmill.tasks.work.worker import Worker


class Turnover:
    """Takes over what is handed out, gives it up, and hands out anew what was a dead node's."""

    def __init__(
        self,
        reader: Reader,
        traffic: Traffic,
        dispatchers: Mapping[str, Dispatcher],
        ways: Mapping[str, Way],
        worker: Worker,
        alarm: Alarm,
        limits: Limits,
        backlog: Backlog,
    ) -> None:
        self._reader = reader
        self._traffic = traffic
        self._dispatchers = dispatchers
        self._ways = ways
        self._worker = worker
        self._alarm = alarm
        self._limits = limits
        self._backlog = backlog

    def elsewhere(self, queue: str, messages: list[TaskMessage]) -> None:
        """Let go of tasks that another node had, and whose attempt has ended."""
        dispatcher = self._dispatchers[queue]
        for message in messages:
            dispatcher.settled(message)
        dispatcher.feed()
        dispatcher.pace.sample(monotonic(), dispatcher.waiting)

    def returned(self, rows: Sequence[Dispatchable]) -> None:
        """Hand out anew what a dead node had. Any of it may be what killed the node."""
        self._traffic.changed([row[0] for row in rows])
        for row in rows:
            queue = row[5]
            registered = self._traffic.find(row[1], queue)
            if registered is None:
                continue
            message = from_row(row, registered, suspect=True)
            way = self._ways[queue]
            if way.relay is not None and way.relay.publish_again(message):
                continue
            drawn = way.outstanding.pop(message.key)
            if drawn is not None:
                self._dispatchers[queue].settled(drawn)
            self._dispatchers[queue].committed_ranked([message])

    def lost(self, ended: Sequence[Over]) -> None:
        """Let go of tasks that have failed with the node that had them."""
        self._traffic.observe(ended)
        keys = [one.key for one in ended]
        self._traffic.changed(keys)
        self._backlog.changed(-len(keys))
        for key in keys:
            self._reader.changes.note(key)
            for name in self._dispatchers:
                self._traffic.drop(name, key, ranked=True)
        self._traffic.told(keys)

    def in_hand(self) -> list[TaskMessage]:
        """Return what this node has: claimed, or begun."""
        claimed = (message for way in self._ways.values() for message in way.in_hand())
        return list(dict.fromkeys([*claimed, *self._worker.running]))

    def let_go(self, messages: Collection[TaskMessage]) -> None:
        """Stop, or do not begin, tasks that are no longer this node's."""
        stopped = self._worker.cancel([message.key for message in messages])
        waiting = {message.key for message in messages if not message.started_at}
        self._traffic.dropped.update(waiting.difference(stopped))

    def rest(self) -> None:
        """Hand out nothing more: another node leads. What a consumer holds in memory is not begun."""
        self._limits.clear()
        for name, dispatcher in self._dispatchers.items():
            out = dispatcher.rest()
            way = self._ways[name]
            if way.relay is not None:
                way.relay.rest()
            else:
                away = way.outstanding.entries.keys()
                self._traffic.dropped.update(
                    key for key in out if key not in away and not self._worker.has(key)
                )
                way.outstanding.clear()

    async def take_over(self, fence: int) -> None:
        """Begin to hand out, after another node or none did."""
        now = asyncio.get_running_loop().time()
        for row in await self._reader.in_hand():
            dispatcher = self._dispatchers.get(row[5])
            message = None if dispatcher is None else dispatcher.hold(row)
            if message is not None:
                self._ways[row[5]].outstanding.add(message, now, claimed=True)
        for name, dispatcher in self._dispatchers.items():
            await dispatcher.start(b"", [], False)
            relay = self._ways[name].relay
            if relay is not None:
                relay.start(fence)
        await self._alarm.start()
