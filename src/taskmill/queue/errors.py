"""What can go wrong with a queue."""

from taskmill.supervisor import SupervisorError


class QueueError(SupervisorError):
    """The queue cannot do what was asked of it."""


class QueueFull(QueueError):
    """The queue holds as many messages as it is declared to, and refuses more."""


class QueueUnavailable(QueueError):
    """The queue's engine is away or does not answer. It may have done a part of what was asked."""


class MessageTooLarge(QueueError):
    """The queue's engine takes no message of this size, now or later."""
