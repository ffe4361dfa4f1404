"""An action inside a worker process: bytes in, bytes out. A batch action has the tasks of a batch in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec

from taskmill.process.messages import Completed, Failed, Outcome
from taskmill.process.page import cancelled
from taskmill.queue import Message, Slot
from taskmill.tasks.actions.action import Action, encode_result
from taskmill.tasks.actions.batching import End, Items
from taskmill.tasks.actions.context import CurrentTask, Together, running
from taskmill.tasks.actions.failure import Failure, failure_of, timed_out
from taskmill.tasks.actions.named import name_tasks
from taskmill.tasks.actions.outgoing import Wanted
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.notes.speaker import Speaker

BATCH = 0.02  # seconds that the calls of one batch may take together
ADAPTER = f"{__name__}:adapt"


class Submitting(msgspec.Struct, array_like=True):
    """What an attempt came to that has submitted tasks itself: its task's JSON result, and those."""

    result: bytes
    tasks: list[Wanted]


_speaker = Speaker()
_untraced = nullcontext()
_FAILED = b"\x01"  # no JSON begins with it
_WIDE = 0x95  # what a payload with more than is usual begins with: no id does
_SUBMITTED = b"\x02"  # nor with this
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Failure).decode
_decode_submitted = msgspec.msgpack.Decoder(Submitting).decode
_decode_wide = msgspec.msgpack.Decoder(tuple[str, int, str, str, bytes]).decode
_decode_batch = msgspec.msgpack.Decoder(tuple[bytes, list[tuple[str, int, str, str]]]).decode
_decode_ends = msgspec.msgpack.Decoder(list[bytes | Failure]).decode


def payload(message: TaskMessage, carried: bytes = b"") -> bytes:
    """Write what an attempt in a worker process needs, with what tracing has for it."""
    if carried or message.name != message.registered.action.name:  # it takes every name
        return _encode((message.id(), message.attempt, message.body, message.name, carried))
    return f"{message.id()} {message.attempt} {message.body}".encode()


def sender_of(payload: bytes) -> tuple[bytes, int]:
    """Return the key of the task that a :func:`payload` is of, and which attempt at it."""
    id_, attempt, *_ = _read(payload)
    return UUID(id_).bytes, attempt


def _read(payload: bytes) -> tuple[str, int, str | bytes, str, bytes]:
    """Return what a :func:`payload` says: id, attempt, data, action (empty: the function's), and what tracing has."""
    if payload[0] == _WIDE:
        return _decode_wide(payload)
    id_, attempt, data = payload.split(b" ", 2)
    return id_.decode(), int(attempt), data, "", b""


def payload_of(messages: Sequence[TaskMessage], carried: bytes = b"") -> bytes:
    """Write what the attempts of a batch in a worker process need, with what tracing has for it."""
    items = [(message.id(), message.attempt, message.body, message.name) for message in messages]
    return _encode((carried, items))


def gather(
    slot: Slot, first: TaskMessage, alone: Callable[[TaskMessage], bool]
) -> tuple[list[TaskMessage], Message | None]:
    """Take from a slot what may travel with its first message; return it all, and what was taken but may not.

    Calls of one quick action share a frame on their way to a worker process. ``alone`` names those that may not
    share. A batch is bounded by the time it takes, so that an urgent task never waits long behind one.
    """
    registered = first.registered
    batch = [first]
    while registered.seconds * (len(batch) + 1) < BATCH and len(batch) < slot.share:
        taken = slot.take()
        if taken is None:
            break
        if not isinstance(taken, TaskMessage) or taken.registered is not registered:
            return batch, taken
        if taken.careful or alone(taken):
            return batch, taken
        taken.started_at = first.started_at
        batch.append(taken)
    return batch, None


Unended = Literal["cancelled", "shutdown"]


def end_of(outcome: Outcome, timeout: float | None) -> bytes | Submitting | Failure | Unended:
    """Return what a call came to: the task's JSON result, how it failed, or what kept it from its end.

    ``timeout`` is how long it might take, in seconds.
    """
    if isinstance(outcome, Completed):
        result = outcome.result
        if result[:1] == _FAILED:
            return _decode(result[1:])
        return _decode_submitted(result[1:]) if result[:1] == _SUBMITTED else result
    if isinstance(outcome, Failed):
        return Failure(outcome.type, outcome.message, outcome.traceback)
    if outcome.reason == "crashed":
        return Failure("worker_crashed", outcome.message)
    if outcome.reason == "timeout":
        return timed_out(timeout)
    return outcome.reason


def ends_of(outcome: Outcome, messages: Sequence[TaskMessage]) -> Sequence[End | Unended]:
    """Return what a batch's call came to, for each of its tasks."""
    if isinstance(outcome, Completed):
        return _decode_ends(outcome.result)
    end = end_of(outcome, messages[0].timeout)
    assert not isinstance(end, Submitting)  # noqa: S101 - a batch action submits nothing
    return [end] * len(messages)


def adapt(action: Action[Any, Any]) -> Callable[[bytes], bytes]:
    """Return what a worker process calls with :func:`payload`, and which returns a result or a failure.

    A failure is judged here, where the exception is: it need not be known to the server.
    """
    name_tasks()
    if action.options.batch:
        return _adapt_batch(action)

    def run(call: bytes) -> bytes:
        id_, attempt, data, name, carried = _read(call)
        task = _task(id_, attempt, data, name or action.name, _speaker.begin())
        running.set(task)
        try:
            with _traced(carried):
                result = encode_result(action.run(action.decode_stored(data)))
            submitted = task.outgoing.tasks
            return _SUBMITTED + _encode(Submitting(result, submitted)) if submitted else result
        except BaseException as error:  # `sys.exit` in an action ends its task, not the worker
            return _FAILED + _encode(failure_of(error, action))
        finally:
            _speaker.end()

    return run


def _traced(carried: bytes) -> AbstractContextManager[None]:
    """Be within the trace of a call, if it has one."""
    if not carried:
        return _untraced
    from taskmill.tasks.tracing.child import continuing  # noqa: PLC0415 - not in the base install

    return continuing(carried)


def _task(id_: str, attempt: int, data: str | bytes, name: str, call: object) -> CurrentTask:
    return CurrentTask(id_, attempt, data, cancelled, partial(_speaker.say, call, id_), action=name)


def _adapt_batch(action: Action[Any, Any]) -> Callable[[bytes], bytes]:
    def run(call: bytes) -> bytes:
        carried, calls = _decode_batch(call)
        items = Items(action, [(None, data) for _, _, data, _ in calls])
        begun = _speaker.begin()
        tasks = [_task(*one, begun) for one in calls]
        running.set(Together([tasks[place] for place in items.places]))
        try:
            with _traced(carried):
                ends = items.returned(items.call() if items.items else [])
        except BaseException as error:
            ends = items.raised(error)
        finally:
            _speaker.end()
        return _encode(ends)

    return run
