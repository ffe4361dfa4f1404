"""Queues declared as entries: drivers, logical queues, and the consumers that bind them to functions."""

from taskmill.queue.access import Publication, message, publish
from taskmill.queue.consumer import Consumer, handoff
from taskmill.queue.drivers.amqp import AmqpDriver
from taskmill.queue.drivers.memory import MemoryDriver
from taskmill.queue.drivers.nats import NatsDriver
from taskmill.queue.drivers.postgres import PostgresQueueDriver
from taskmill.queue.drivers.redis import RedisDriver
from taskmill.queue.errors import MessageTooLarge, QueueError, QueueFull, QueueUnavailable
from taskmill.queue.message import Message
from taskmill.queue.queue import Queue
from taskmill.queue.slot import Slot

__all__ = [
    "AmqpDriver",
    "Consumer",
    "MemoryDriver",
    "Message",
    "MessageTooLarge",
    "NatsDriver",
    "PostgresQueueDriver",
    "Publication",
    "Queue",
    "QueueError",
    "QueueFull",
    "QueueUnavailable",
    "RedisDriver",
    "Slot",
    "handoff",
    "message",
    "publish",
]
