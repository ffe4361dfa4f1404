"""Taskmill: a durable task queue behind a REST API."""

from taskmill.tasks.actions.action import action
from taskmill.tasks.actions.context import current_task, current_tasks
from taskmill.tasks.actions.options import Unique
from taskmill.tasks.actions.retrying import Backoff, Fail, Retry

__all__ = ["Backoff", "Fail", "Retry", "Unique", "action", "current_task", "current_tasks"]
__version__ = "0.1.0"
