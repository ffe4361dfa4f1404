"""The caller's side: ask a server for tasks from Python. Imports nothing of a server."""

from taskmill.client.aio import AsyncClient
from taskmill.client.batch_calls import BatchOptions
from taskmill.client.batch_model import Batch, Lost, Member
from taskmill.client.batches import AsyncBatchHandle, BatchHandle
from taskmill.client.blocking import Client
from taskmill.client.default import configure, default_async_client, default_client
from taskmill.client.errors import (
    AddressError,
    ClientError,
    FieldError,
    NotEnded,
    NotTaskmill,
    ProblemError,
    ServerAway,
    SomeRefused,
    TaskCancelled,
    TaskEnded,
    TaskFailed,
)
from taskmill.client.events import Event, LogEvent, ProgressEvent, ResetEvent, StatusEvent
from taskmill.client.handle import AsyncHandle, Handle
from taskmill.client.model import (
    ActionInfo,
    Attempt,
    Changed,
    Queue,
    Schedule,
    StepTaken,
    Task,
    TaskError,
    Why,
)
from taskmill.client.submission import Submission, SubmitOptions
from taskmill.client.wire import Answer

__all__ = [
    "ActionInfo",
    "AddressError",
    "Answer",
    "AsyncBatchHandle",
    "AsyncClient",
    "AsyncHandle",
    "Attempt",
    "Batch",
    "BatchHandle",
    "BatchOptions",
    "Changed",
    "Client",
    "ClientError",
    "Event",
    "FieldError",
    "Handle",
    "LogEvent",
    "Lost",
    "Member",
    "NotEnded",
    "NotTaskmill",
    "ProblemError",
    "ProgressEvent",
    "Queue",
    "ResetEvent",
    "Schedule",
    "ServerAway",
    "SomeRefused",
    "StatusEvent",
    "StepTaken",
    "Submission",
    "SubmitOptions",
    "Task",
    "TaskCancelled",
    "TaskEnded",
    "TaskError",
    "TaskFailed",
    "Why",
    "configure",
    "default_async_client",
    "default_client",
]
