"""Taskmill: a durable task queue behind a REST API."""

from taskmill.tasks.actions import action
from taskmill.tasks.context import current_task
from taskmill.tasks.options import Unique
from taskmill.tasks.retrying import Backoff, Fail, Retry

__all__ = ["Backoff", "Fail", "Retry", "Unique", "action", "current_task"]
__version__ = "0.1.0"
