"""An action inside a worker process: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from taskmill.process.page import cancelled
from taskmill.tasks.actions import Action, encode_result
from taskmill.tasks.context import CurrentTask, running
from taskmill.tasks.failure import Failure, failure_of
from taskmill.tasks.message import TaskMessage

ADAPTER = f"{__name__}:adapt"

_FAILED = b"\x01"  # no JSON begins with it
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Failure).decode


def payload(message: TaskMessage) -> bytes:
    """Write what an attempt in a worker process needs."""
    return f"{message.id()} {message.attempt} {message.body}".encode()


def failure_in(answer: bytes) -> Failure | None:
    """Return the failure that a worker process's answer tells of; None where it is a task's JSON result."""
    return _decode(answer[1:]) if answer[:1] == _FAILED else None


def adapt(action: Action[Any, Any]) -> Callable[[bytes], bytes]:
    """Return what a worker process calls with :func:`payload`, and which returns a result or a failure.

    A failure is judged here, where the exception is: it need not be known to the server.
    """

    def run(call: bytes) -> bytes:
        id_, attempt, data = call.split(b" ", 2)
        running.set(CurrentTask(id_.decode(), int(attempt), data, cancelled))
        try:
            return encode_result(action.run(action.decode(data)))
        except BaseException as error:  # `sys.exit` in an action ends its task, not the worker
            return _FAILED + _encode(failure_of(error, action))

    return run
