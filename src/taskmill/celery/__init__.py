"""A bridge for programs written for Celery: `from taskmill.celery import Celery, shared_task`.

It covers what most programs use: `@app.task` and `@shared_task` with their options on retries, limits and queues,
`delay`, `apply_async`, `send_task`, `self.retry`, `AsyncResult`. Tasks become actions of a Taskmill application.
docs/how-to/celery.md tells what is the same, what differs and what is refused.
"""

from taskmill.celery.app import Celery
from taskmill.celery.result import AsyncResult
from taskmill.celery.task import MaxRetriesExceededError, Task, shared_task

__all__ = ["AsyncResult", "Celery", "MaxRetriesExceededError", "Task", "shared_task"]
