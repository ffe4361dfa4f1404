"""What happens on other nodes: each tells the others which tasks have changed, as long as one of them has watchers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.cluster import topics
from taskmill.tasks.events import statements
from taskmill.tasks.events.feed import Feed

logger = logging.getLogger(__name__)

ASK: Final = 1.0  # seconds between two signals of a node that has watchers
HEARD: Final = 3.5  # seconds for which a node tells, after such a signal
REST: Final = 0.1  # seconds between two of its rows
MOST: Final = 20_000  # tasks in one; of more it only says that they were too many
KEPT: Final = 60  # seconds that a row stays
OVERLAP: Final = 5  # seconds that are read again: clocks differ, and rows show late
_ID: Final = 16  # bytes
_MICROSECONDS: Final = 1_000_000


class Journal:
    """Tells and hears, where several nodes share a database; does nothing elsewhere.

    ``now`` gives the seconds since 1970 by the clock of all nodes.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed,
        alone: Callable[[], bool],
        node: Callable[[], bytes],
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._feed = feed
        self._alone = alone
        self._node = node
        self._now = now
        self._asked_until = 0.0  # by the loop's clock, as is this:
        self._ask_again = 0.0
        self._pending: dict[bytes, None] = {}
        self._number = 0
        self._forget_at = 0.0
        self._read: dict[bytes, int] = {}  # the last number of each node that was read
        self._since = 0
        self._telling: asyncio.Task[None] | None = None
        self._stopped = False
        if database.shared:
            database.signals.on(topics.WATCHED, self._heed)
            feed.join(self._is_asked, self._add)

    def on_news(self, call: Callable[[], None]) -> None:
        """Have ``call()`` called when there is something to :meth:`read`."""
        if self._database.shared:
            self._database.signals.on(topics.HAPPENED, call)

    def begin(self) -> None:
        """Hear from now on what happens on other nodes."""
        self._since = int((self._now() - OVERLAP) * _MICROSECONDS)

    def ask(self) -> None:
        """Ask the other nodes to tell, if it is time to; called again and again by one that has watchers."""
        now = asyncio.get_running_loop().time()
        if self._database.shared and now >= self._ask_again and not self._alone():
            self._ask_again = now + ASK
            self._database.signals.send(topics.WATCHED)

    async def read(self) -> tuple[list[bytes], bool]:
        """Return which tasks have changed on other nodes, and whether there were too many to name.

        Raises:
            DatabaseError, Overloaded: the next read has it all.
        """
        if not self._database.shared or self._alone():
            return [], False
        values = {"number_": self._since, "node_": self._node()}
        sql, arguments = self._database.bind(statements.SINCE, values)
        rows = await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
        keys: dict[bytes, None] = {}
        too_many = False
        for node, number, ids in rows:
            if number <= self._read.get(bytes(node), 0):
                continue
            self._read[bytes(node)] = number
            too_many = too_many or not ids
            text = bytes(ids)
            keys.update(dict.fromkeys(text[at : at + _ID] for at in range(0, len(text), _ID)))
        self._since = max(self._since, int((self._now() - OVERLAP) * _MICROSECONDS))
        return list(keys), too_many

    async def stop(self) -> None:
        """Tell nothing more."""
        self._stopped = True
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling])

    def _is_asked(self) -> bool:
        return self._asked_until > 0

    def _heed(self) -> None:
        """Tell the other nodes, for a while, what happens here: one of them has watchers."""
        if self._stopped or self._alone():
            return
        self._asked_until = asyncio.get_running_loop().time() + HEARD
        self._feed.look()
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell(), name="tell other nodes")

    def _add(self, keys: Iterable[bytes]) -> None:
        self._pending.update(dict.fromkeys(keys))

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while loop.time() < self._asked_until:
                await asyncio.sleep(REST)
                if self._pending:
                    keys, self._pending = self._pending, {}
                    await self._write(keys)
        finally:
            self._telling = None
            self._asked_until = 0.0
            self._pending.clear()
            self._feed.look()

    async def _write(self, keys: Iterable[bytes]) -> None:
        ids = list(keys)
        now = self._now()
        self._number = max(self._number + 1, int(now * _MICROSECONDS))
        row = {"node_": self._node(), "number_": self._number}
        text = b"" if len(ids) > MOST else b"".join(ids)
        forget = now >= self._forget_at
        if forget:
            self._forget_at = now + KEPT / 4

        def call(transaction: Transaction) -> Any:
            if forget:
                transaction.change(statements.FORGET, number_=int((now - KEPT) * _MICROSECONDS))
            transaction.change(statements.ADD, keys_=text, **row)

        try:
            await self._database.write(call)
        except (DatabaseError, Overloaded):
            return  # they look at the rows now and then
        except Exception:
            logger.exception("other nodes cannot be told what has changed")
            return
        self._database.signals.send(topics.HAPPENED)
