"""Queues declared as entries: drivers, logical queues, and the consumers that bind them to functions."""

from taskmill.queue.access import Publication, message, publish
from taskmill.queue.consumer import Consumer, Slot, handoff
from taskmill.queue.drivers.memory import MemoryDriver
from taskmill.queue.errors import QueueError, QueueFull
from taskmill.queue.message import Message
from taskmill.queue.queue import Queue

__all__ = [
    "Consumer",
    "MemoryDriver",
    "Message",
    "Publication",
    "Queue",
    "QueueError",
    "QueueFull",
    "Slot",
    "handoff",
    "message",
    "publish",
]
