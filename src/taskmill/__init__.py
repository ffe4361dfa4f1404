"""Taskmill: a durable task queue behind a REST API."""

from taskmill.tasks.actions import action

__all__ = ["action"]
__version__ = "0.1.0"
