"""The ranked tasks of a queue that are in memory: the best of those that wait, and all that are on their way."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from taskmill.queue.drivers.base import Room
from taskmill.tasks.dispatch.edge import START, Edge, Position, place_of
from taskmill.tasks.message import FIRST, TaskMessage


class Ranked:
    """A window over the ranked tasks, the best first.

    ``known`` holds the keys of all that are in memory: waiting here, parked under a limit, or handed out. A
    task that is not among them is a row behind the ``edge``, or behind that of its limit. ``forget`` is called
    for each that is left a row again.
    """

    def __init__(self, capacity: Room, forget: Callable[[TaskMessage], None]) -> None:
        self.edge = Edge(START)
        self.known: set[bytes] = set()
        self.waiting: list[tuple[int, bytes, TaskMessage]] = []  # a heap
        self.bytes = 0  # of the bodies that wait
        self._capacity = capacity
        self._forget = forget

    def committed(self, messages: Iterable[TaskMessage]) -> None:
        """Take tasks whose rows are stored, or leave them rows where better ones fill the window."""
        for message in messages:
            if message.key in self.known:  # a read has seen it before its commit was reported
                continue
            position = place_of(message)
            if self.edge.beyond(position):
                self.edge.leave(position)
            else:
                self.push(message)
        self.trim()

    def push(self, message: TaskMessage) -> None:
        """Have a task wait."""
        heapq.heappush(self.waiting, (*place_of(message), message))
        self.known.add(message.key)
        self.bytes += len(message.body)

    def put_back(self, message: TaskMessage) -> None:
        """Have a task wait again that was handed out, or leave it a row behind the edge."""
        position = place_of(message)
        if self.edge.beyond(position):
            self.edge.leave(position)
            self._forget(message)
        else:
            self.push(message)
            self.trim()

    def pop(self) -> TaskMessage:
        """Take the best one."""
        message = heapq.heappop(self.waiting)[2]
        self.bytes -= len(message.body)
        return message

    def room(self) -> int:
        """Return how many more are worth reading, by the number and the bytes of those that wait."""
        if self.edge.at is None or self.bytes * 2 > self._capacity.bytes:
            return 0
        return self._capacity.messages - len(self.waiting)

    def read_to(self, end: Position | None, messages: Iterable[TaskMessage]) -> None:
        """Take what was read from the edge on, up to a place, or to the last of the rows."""
        self.edge.end(end)
        for message in messages:
            if self.edge.beyond(place_of(message)):  # a better one was left a row meanwhile
                self._forget(message)
            else:
                self.push(message)
        self.trim()

    def trim(self) -> None:
        """Leave the last ones rows where far more wait than the window holds."""
        messages, size = self._capacity
        waiting = self.waiting
        if len(waiting) <= 2 * messages and self.bytes <= 2 * size:
            return
        left = []
        waiting.sort()
        while len(waiting) > messages or (self.bytes > size and len(waiting) > 1):
            rank, key, message = waiting[-1]
            if rank == FIRST:  # it runs by its row, so that no read would find it again
                break
            waiting.pop()
            self.bytes -= len(message.body)
            self.edge.leave((rank, key))
            left.append(message)
        for message in left:
            self._forget(message)
