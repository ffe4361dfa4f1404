"""Taskmill: a durable task queue behind a REST API."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmill.tasks.actions.action import action
    from taskmill.tasks.actions.context import current_task, current_tasks
    from taskmill.tasks.actions.inside import submit
    from taskmill.tasks.actions.named import TaskFilter
    from taskmill.tasks.actions.options import Unique
    from taskmill.tasks.actions.retrying import Backoff, Fail, Retry
    from taskmill.tasks.stepping.step import step

__all__ = [
    "Backoff",
    "Fail",
    "Retry",
    "TaskFilter",
    "Unique",
    "action",
    "current_task",
    "current_tasks",
    "step",
    "submit",
]
__version__ = "0.1.0"

_MODULES = {
    "action": "actions.action",
    "current_task": "actions.context",
    "current_tasks": "actions.context",
    "TaskFilter": "actions.named",
    "submit": "actions.inside",
    "Unique": "actions.options",
    "Backoff": "actions.retrying",
    "Fail": "actions.retrying",
    "Retry": "actions.retrying",
    "step": "stepping.step",
}


if not TYPE_CHECKING:  # to a type checker each name above is there, and any other is a mistake

    def __getattr__(name: str) -> object:
        """Import what is asked for: the command line and pytest pass through here, and mostly need none of it."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        value: object = getattr(import_module(f"taskmill.tasks.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
