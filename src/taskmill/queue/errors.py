"""What can go wrong with a queue."""

from taskmill.supervisor import SupervisorError


class QueueError(SupervisorError):
    """The queue cannot do what was asked of it."""


class QueueFull(QueueError):
    """The queue holds as many messages as it is declared to, and refuses more."""
