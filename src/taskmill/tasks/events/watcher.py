"""Those who watch: a stream of one task's events, and one of all that pass its filters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from taskmill.http import Caller, Exchange, Stream
from taskmill.tasks.events.event import Place, Seen, events_of, for_caller, has_ended, id_of, written
from taskmill.tasks.events.history import History, Past
from taskmill.tasks.lifecycle import STATUS_WORDS
from taskmill.tasks.model import Task
from taskmill.tasks.rights.rights import is_business
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.missing import UNKNOWN

MEDIA_TYPE: Final = b"text/event-stream"
HEADERS: Final = b"cache-control: no-store\r\nx-accel-buffering: no\r\n"
BEGIN: Final = b"retry: 1000\n\n"
BEAT: Final = b":\n\n"  # a comment: it keeps what is between from taking the stream for dead


class Watcher:
    """One who watches. ``exchange`` is None once he has gone."""

    __slots__ = ("_stream", "caller", "exchange")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange: Exchange | None = exchange
        self.caller: Caller | None = exchange.caller
        self._stream: Stream | None = None

    def begin(self) -> bool:
        """Begin the answer; tell whether anybody is there to read it."""
        if self.exchange is not None and self._stream is None:
            self._stream = self.exchange.stream(MEDIA_TYPE, HEADERS)
            return self._stream is not None and self._stream.write(BEGIN)
        return self._stream is not None

    def write(self, data: bytes) -> bool:
        """Send something; tell whether he is still there."""
        return self._stream is None or not data or self._stream.write(data)

    def beat(self) -> bool:
        """Show that the stream is alive; tell whether he is still there."""
        return self.write(BEAT)

    def end(self) -> None:
        """End the answer; one that has not begun says that the server stops."""
        exchange, self.exchange = self.exchange, None
        if self._stream is not None:
            self._stream.end()
        elif exchange is not None:
            exchange.hold(None)
            exchange.refuse(503, "The server stops; ask again in a second.", headers=b"retry-after: 1\r\n")

    def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem, where nothing has been answered yet."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and self._stream is None:
            exchange.hold(None)
            exchange.refuse(status, detail)
        elif self._stream is not None:
            self._stream.end()


class Text(NamedTuple):
    """Events as they are sent, and up to where one has seen a task who has them."""

    text: bytes
    place: Place


Texts = dict[tuple[Place, Caller | None], Text]  # by up to where a task had been seen, and by whom


class TaskWatcher(Watcher):
    """One who watches a task until it has ended, and has seen it up to a ``place``."""

    __slots__ = ("key", "place")

    def __init__(self, exchange: Exchange, key: bytes, place: Place) -> None:
        super().__init__(exchange)
        self.key = key
        self.place = place

    def show(self, seen: Seen, texts: Texts) -> bool:
        """Send what is new of the task; tell whether he goes on watching. ``texts`` is what others were sent."""
        task = seen.task
        if self._stream is None and not self._may_begin(task):
            return False
        same = self.place, self.caller
        text = texts.get(same)
        if text is None:
            text = texts[same] = _new_in(seen, self.place, self.caller)
        self.place = text.place
        if not self.write(text.text):
            return False
        if has_ended(task):
            self.end()
            return False
        return True

    def _may_begin(self, task: Task) -> bool:
        if not is_business(self.caller, task):
            self.refuse(404, UNKNOWN)
            return False
        if has_ended(task) and (task.attempt, task.status) == self.place[:2]:
            exchange, self.exchange = self.exchange, None
            if exchange is not None:  # he has seen all: a browser asks no more
                exchange.hold(None)
                exchange.reply(204, b"", MEDIA_TYPE)
            return False
        return self.begin()


class Wanted(NamedTuple):
    """Which tasks are watched: those that pass filters, and are members of a batch where one is named."""

    selection: Selection
    batch: str | None = None


class AllWatcher(Watcher):
    """One who watches all tasks that are wanted."""

    __slots__ = ("joined", "wanted")

    def __init__(self, exchange: Exchange, wanted: Wanted) -> None:
        super().__init__(exchange)
        self.wanted = wanted
        self.joined = 0  # the last event before those that are told to all

    def wants(self, task: Task) -> bool:
        """Whether a task is wanted, and is his business."""
        wanted, batch = self.wanted
        return (
            (not wanted.statuses or STATUS_WORDS[task.status] in wanted.statuses)
            and (wanted.action is None or task.action == wanted.action)
            and (wanted.queue is None or task.queue == wanted.queue)
            and (wanted.tag is None or wanted.tag in task.tags)
            and (batch is None or task.batch == batch)
            and is_business(self.caller, task)
        )

    def text_of(self, past: Iterable[Past], history: History) -> bytes:
        """Write those events that he wants."""
        parts = []
        for number, event in past:
            if event is None:
                parts.append(reset(history.id_of(number), "too much happened at once"))
            elif self.wants(event.task) and (data := for_caller(event, self.caller)) is not None:
                parts.append(written(event, history.id_of(number), data))
        return b"".join(parts)


def _new_in(seen: Seen, place: Place, caller: Caller | None) -> Text:
    """Write what is new of a task for a caller who has seen it up to a place."""
    parts = []
    for event in events_of(seen, place):
        place = event.place
        data = for_caller(event, caller)
        if data is not None:
            parts.append(written(event, id_of(place), data))
    return Text(b"".join(parts), place)


def reset(id_: bytes, reason: str) -> bytes:
    """Write the event that tells a reader to load anew what he shows: there is a gap before it."""
    return b'id: %b\nevent: reset\ndata: {"reason":"%b"}\n\n' % (id_, reason.encode())
