"""The streams of events: who watches what, and the one loop that looks for all of them.

Whatever happens only says that a task has changed. How it is now is read from its row and its notes, for all at once,
and each watcher gets what he has not seen. So nothing is told that is not stored, what changes often is told as it was
last, and one who comes again goes on where he was, whichever node he asks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from taskmill.http import Exchange
from taskmill.sql import Database, DatabaseError, Overloaded
from taskmill.tasks.events import looking
from taskmill.tasks.events.event import Place, Seen
from taskmill.tasks.events.feed import Feed
from taskmill.tasks.events.history import History, Past
from taskmill.tasks.events.journal import Journal
from taskmill.tasks.events.watcher import AllWatcher, TaskWatcher, Texts, Wanted, Watcher, reset
from taskmill.tasks.view.missing import missing

logger = logging.getLogger(__name__)

REST: Final = 0.1  # seconds between two turns
LOOK: Final = 2.0  # seconds between looks at all that is watched: some changes tell nobody
SHARE: Final = 9  # looks rest so many times as long as they take
BEAT: Final = 15.0  # seconds between two heartbeats
LINGER: Final = 30.0  # seconds for which what happens is kept after the last has gone who watched everything
MOST: Final = (
    1_000  # tasks in one turn for those who watch everything; of more they hear that it was too much
)
AGAIN: Final = 1.0  # seconds between two such messages
NOTES: Final = 10  # seconds that a note may be old that is news of a task


class Streams:
    """Holds the streams. ``was_pruned`` tells whether there was a task with an id."""

    def __init__(
        self, database: Database, feed: Feed, journal: Journal, was_pruned: Callable[[bytes], Awaitable[bool]]
    ) -> None:
        self._database = database
        self._feed = feed
        self._journal = journal
        self._was_pruned = was_pruned
        self._by_key: dict[bytes, set[TaskWatcher]] = {}
        self._all: set[AllWatcher] = set()
        self._history: History | None = None
        self._left_at = (
            0.0  # when the last of those who watch everything has gone, by the loop's clock, as are these:
        )
        self._beat_at = 0.0
        self._look_at = 0.0
        self._skip_at = 0.0
        self._dirty: dict[bytes, None] = {}
        self._skipped = False  # something was too much
        self._news = False  # another node has told something
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing: dict[asyncio.Event, asyncio.Task[None]] = {}  # of the servers that have had a watcher
        feed.join(self._is_watched, self._hear)
        journal.on_news(self._hear_news)

    @property
    def count(self) -> int:
        """How many watch."""
        return len(self._all) + sum(map(len, self._by_key.values()))

    def watch(self, exchange: Exchange, key: bytes, place: Place) -> None:
        """Stream the events of a task from a place on, until it has ended."""
        watcher = TaskWatcher(exchange, key, place)
        if self._hold(exchange, watcher):
            self._by_key.setdefault(key, set()).add(watcher)
            self._dirty[key] = None
            self._begin()

    def watch_all(self, exchange: Exchange, wanted: Wanted, last: bytes | None) -> None:
        """Stream the events of all tasks that are wanted, from the event on whose id is ``last``, or from now on."""
        watcher = AllWatcher(exchange, wanted)
        if not self._hold(exchange, watcher) or not watcher.begin():
            return
        history = self._history = self._history or History()
        past = None if last is None else history.after(last)
        watcher.joined = history.last
        if past is not None:
            text = watcher.text_of(past, history)
        elif last is not None:
            text = reset(history.id_of(history.last), "what happened meanwhile is not known here")
        else:
            text = b"id: %b\n\n" % history.id_of(history.last)  # no event, but where to go on
        if watcher.write(text):
            self._all.add(watcher)
        self._begin()

    async def stop(self) -> None:
        """End all streams."""
        for task in self._closing.values():
            task.cancel()
        self._end(self._everybody())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._journal.stop()

    def _everybody(self) -> list[Watcher]:
        return [*self._all, *(one for some in self._by_key.values() for one in some)]

    def _is_watched(self) -> bool:
        return self._task is not None

    def _hear(self, keys: Iterable[bytes]) -> None:
        if self._history is None:
            keys = [key for key in keys if key in self._by_key]
        if keys:
            self._dirty.update(dict.fromkeys(keys))
            self._wake.set()

    def _hear_news(self) -> None:
        self._news = True
        self._wake.set()

    def _begin(self) -> None:
        if self._task is None:
            now = asyncio.get_running_loop().time()
            self._beat_at, self._look_at = now + BEAT, now + LOOK
            self._journal.begin()
            self._task = asyncio.create_task(self._run(), name="stream events")
            self._feed.look()
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._by_key or self._all or self._lingers(loop.time()):
                self._journal.ask()
                try:
                    async with asyncio.timeout(max(0.0, min(LOOK / 2, self._look_at - loop.time()))):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                await self._turn()
                await asyncio.sleep(REST)
        finally:
            self._task = None
            self._history = None
            self._dirty.clear()
            self._feed.look()

    def _lingers(self, now: float) -> bool:
        """Whether one who watched everything may come again."""
        if self._history is not None and not self._all and now > self._left_at + LINGER:
            self._history = None
        return self._history is not None

    async def _turn(self) -> None:
        """Tell everybody what has changed."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            self._end([one for one in self._everybody() if not one.beat()])
        try:
            if self._news or now >= self._look_at:
                self._news = False
                keys, too_many = await self._journal.read()
                self._hear(keys)
                self._skipped = self._skipped or too_many
            if now >= self._look_at:
                self._dirty.update(dict.fromkeys(self._by_key))
            await self._tell()
            if now >= self._look_at:
                self._look_at = loop.time() + max(LOOK, SHARE * (loop.time() - now))
        except (DatabaseError, Overloaded):
            self._look_at = loop.time() + LOOK  # who reads or writes meanwhile says what is wrong
        except Exception:  # whatever it is, the streams go on
            logger.exception("events cannot be told")
            self._look_at = loop.time() + LOOK

    async def _tell(self) -> None:
        keys, self._dirty = list(self._dirty), {}
        if self._history is not None and len(keys) > max(MOST, len(self._by_key)):
            keys = [key for key in keys if key in self._by_key]
            self._skipped = True
        past: list[Past] = []
        for first in range(0, len(keys), looking.AT_ONCE):
            past += await self._look(keys[first : first + looking.AT_ONCE])
        history, now = self._history, asyncio.get_running_loop().time()
        if history is None:
            return
        if self._skipped and now >= self._skip_at:
            self._skipped = False
            self._skip_at = now + AGAIN
            past.append(history.skip())
        if past:
            self._send(past, history)

    async def _look(self, keys: list[bytes]) -> list[Past]:
        recent = int((time.time() + self._database.clock_offset - NOTES) * 1_000_000)
        found = await looking.look(self._database, {key: self._since(key, recent) for key in keys}, recent)
        past: list[Past] = []
        for key in keys:
            seen = found.get(key)
            if key in self._by_key:
                await self._show(key, seen)
            if seen is not None and self._history is not None:
                past += self._history.add(key, seen, recent)
        return past

    def _since(self, key: bytes, recent: int) -> int:
        """Return from which number on the notes of a task are wanted."""
        places = [watcher.place.number for watcher in self._by_key.get(key, ())]
        if self._history is not None:
            known = self._history.place_of(key)
            places.append(max(recent, 0 if known is None else known.number))
        return min(places, default=recent)

    async def _show(self, key: bytes, seen: Seen | None) -> None:
        """Show those who watch a task how it is now."""
        watchers = list(self._by_key[key])
        if seen is not None:
            texts: Texts = {}
            for watcher in watchers:
                written = len(texts)
                if not watcher.show(seen, texts):
                    self._end([watcher])
                if len(texts) > written:
                    await asyncio.sleep(
                        0
                    )  # a long log takes milliseconds, for each place up to which it was seen
            return
        problem = await missing(self._was_pruned, key)
        for watcher in watchers:
            limited = watcher.caller is not None and watcher.caller.limited
            watcher.refuse(404 if limited else problem.status, problem.detail)
        self._end(watchers)

    def _send(self, past: list[Past], history: History) -> None:
        """Send events to those who watch everything: what is the same for many is written once."""
        texts: dict[object, bytes] = {}
        gone = []
        for watcher in self._all:
            same = watcher.wanted, watcher.caller
            text = texts.get(same)
            if watcher.joined >= past[0].number:  # he has come meanwhile
                text = watcher.text_of([one for one in past if one.number > watcher.joined], history)
            elif text is None:
                text = texts[same] = watcher.text_of(past, history)
            if not watcher.write(text):
                gone.append(watcher)
        self._end(gone)

    def _hold(self, exchange: Exchange, watcher: Watcher) -> bool:
        """Keep a connection for a watcher; tell whether it is kept: not where its server closes, or has no streams."""
        closing = exchange.closing
        if closing is None or closing.is_set():
            exchange.refuse(
                503, "No stream begins here now: write the path without escapes, or ask again later."
            )
            return False
        if closing not in self._closing:
            self._closing[closing] = asyncio.create_task(self._hurry(closing))
        exchange.hold(lambda: self._gone(watcher))
        return True

    def _gone(self, watcher: Watcher) -> None:
        """Forget a watcher whose client has gone."""
        watcher.exchange = None
        self._forget(watcher)

    def _end(self, watchers: Iterable[Watcher]) -> None:
        for watcher in list(watchers):
            self._forget(watcher)
            watcher.end()

    def _forget(self, watcher: Watcher) -> None:
        if isinstance(watcher, TaskWatcher):
            watching = self._by_key.get(watcher.key)
            if watching is not None:
                watching.discard(watcher)
                if not watching:
                    del self._by_key[watcher.key]
        elif isinstance(watcher, AllWatcher) and watcher in self._all:
            self._all.discard(watcher)
            self._left_at = asyncio.get_running_loop().time()

    async def _hurry(self, closing: asyncio.Event) -> None:
        """End the streams of a server once that closes."""
        await closing.wait()
        self._end(
            [one for one in self._everybody() if one.exchange is None or one.exchange.closing is closing]
        )
        del self._closing[closing]
