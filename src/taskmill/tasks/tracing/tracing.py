"""Spans: `send` for each submission, `process` for each attempt, by the conventions for messaging.

A span is begun where the attempt is, and ends as its end is stored, which `Store.observe` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from opentelemetry import context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from taskmill.http import Exchange
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.model import TaskError
from taskmill.tasks.rows.store import Outcome, Row
from taskmill.tasks.tracing.carrier import in_headers, in_text, text_of
from taskmill.tasks.tracing.child import Carried, encode
from taskmill.tasks.tracing.sending import Sending

if TYPE_CHECKING:
    from taskmill.tasks.service import TaskService

Headers = Iterable[tuple[bytes, bytes]]
Observe = Callable[[Outcome, list[Row], list[TaskMessage]], None]

SYSTEM: Final = "taskmill"
# The place of the error among the parameters of an end's statement.
_ERROR: Final[dict[Outcome, int]] = {"failed": 3, "retried": 2}
_error = msgspec.json.Decoder(TaskError).decode


class Tracing:
    """Makes the spans of a task queue.

    ``service`` and ``endpoint`` are for worker processes; ``error_details`` tells what an error says, and where it was.
    """

    def __init__(
        self, tracer: Tracer, service: str, endpoint: str | None, *, error_details: bool = True
    ) -> None:
        self._own = ""  # the queue of plain tasks
        self._tracer = tracer
        self._service = service
        self._endpoint = endpoint
        self._error_details = error_details
        self._open: dict[TaskMessage, Span] = {}
        self._since: Callable[[TaskMessage], int]  # when an attempt under way could have begun

    def join(self, tasks: TaskService, own: str) -> None:
        """Make the spans of a task queue, whose plain tasks are in the queue ``own``."""
        self._own, self._since = own, tasks.figures.meter.since_of
        tasks.intake.tracing = tasks.bulk.tracing = self
        tasks.store.observe = self._observing(tasks.store.observe)
        tasks.worker.trace(self)

    def sending(self, exchange: Exchange, message: TaskMessage) -> Exchange:
        """Begin the span of a task that is about to be stored; return what is to be answered."""
        fields = {**self._fields("send", self._queue(message)), **_named(message)}
        parent = in_headers(exchange.headers)
        name = f"send {self._queue(message)}"
        span = self._tracer.start_span(name, parent, SpanKind.PRODUCER, fields)
        message.trace = text_of(span)
        return Sending(exchange, span)

    def sending_new(self, exchange: Exchange, new: NewTask) -> Exchange:
        """Do so for one that is not plain, and have the task that tells of its end be part of the trace, too."""
        sending = self.sending(exchange, new.message)
        new.part_of(new.message.trace)
        return sending

    @contextmanager
    def sending_many(self, headers: Headers, queues: set[str], count: int) -> Iterator[str]:
        """Be within the span of a submission of many tasks; give the trace that they belong to."""
        queue = next(iter(queues)) if len(queues) == 1 else None
        fields = {**self._fields("send", queue), "messaging.batch.message_count": count}
        name = "send" if queue is None else f"send {queue}"
        span = self._tracer.start_span(name, in_headers(headers), SpanKind.PRODUCER, fields)
        try:
            yield text_of(span)
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def submitted(self, message: TaskMessage, tasks: Sequence[NewTask]) -> None:
        """Note which tasks an attempt under way has submitted: they are part of its span."""
        inside = set_span_in_context(self._open[message], context.Context())
        for new in tasks:
            queue = new.place.queue
            fields = {**self._fields("send", queue), **_named(new.message)}
            span = self._tracer.start_span(f"send {queue}", inside, SpanKind.PRODUCER, fields)
            new.part_of(text_of(span))
            span.end()

    def run(self, message: TaskMessage) -> Any:
        """Run an inline action within the span of its attempt."""
        token = context.attach(set_span_in_context(self._begin(message), context.Context()))
        try:
            return message.run()
        finally:
            context.detach(token)

    def enter(self, message: TaskMessage) -> None:
        """Begin the span of an attempt, and be within it for as long as the present context lasts."""
        context.attach(set_span_in_context(self._begin(message), context.Context()))

    def carry(self, message: TaskMessage) -> bytes:
        """Begin the span of an attempt in a worker process; return what that takes along."""
        return self._carried(self._begin(message))

    @contextmanager
    def within(self, messages: Sequence[TaskMessage]) -> Iterator[None]:
        """Begin the spans of a batch's attempts, and be within one for what they do together."""
        with self._together(messages) as span:
            token = context.attach(set_span_in_context(span, context.Context()))
            try:
                yield
            finally:
                context.detach(token)

    def carry_all(self, messages: Sequence[TaskMessage]) -> tuple[bytes, Callable[[], None]]:
        """Begin the spans of a batch in a worker process; return what that takes along, and what ends it."""
        span = self._batch(messages)
        return self._carried(span), span.end

    def _observing(self, inner: Observe) -> Observe:
        """Return what hears of ends, and tells ``inner``."""

        def observe(outcome: Outcome, rows: list[Row], messages: list[TaskMessage]) -> None:
            inner(outcome, rows, messages)
            for row, message in zip(rows, messages, strict=True):
                span = self._open.pop(message, None)
                if span is not None:
                    place = _ERROR.get(outcome)
                    self._end(span, outcome, None if place is None else row[place])

        return observe

    def settling(self, inner: Callable[[list[TaskMessage]], None]) -> Callable[[list[TaskMessage]], None]:
        """Return what hears of attempts whose end needs no store, and tells ``inner``."""

        def settle(messages: list[TaskMessage]) -> None:
            inner(messages)
            for message in messages:
                span = self._open.pop(message, None)
                if span is not None:
                    self._end(span, "cancelled", None)

        return settle

    def close(self) -> None:
        """End the spans of attempts that were broken off."""
        while self._open:
            self._end(self._open.popitem()[1], "released", None)

    def _begin(self, message: TaskMessage) -> Span:
        queue = self._queue(message)
        fields = {**self._fields("process", queue), **_named(message)}
        fields["taskmill.attempt"] = message.attempt
        fields["taskmill.waited"] = max(0, message.started_at - self._since(message)) / 1000
        parent = in_text(getattr(message, "trace", None))
        span = self._tracer.start_span(f"process {queue}", parent, SpanKind.CONSUMER, fields)
        self._open[message] = span
        return span

    @contextmanager
    def _together(self, messages: Sequence[TaskMessage]) -> Iterator[Span]:
        span = self._batch(messages)
        try:
            yield span
        finally:
            span.end()

    def _batch(self, messages: Sequence[TaskMessage]) -> Span:
        """Begin the span of what attempts do together: it is linked to theirs, each of which is in its own trace."""
        links = [Link(self._begin(message).get_span_context()) for message in messages]
        fields: dict[str, Any] = {
            "messaging.batch.message_count": len(messages),
            "taskmill.action": messages[0].name,
        }
        name = f"batch {messages[0].name}"
        return self._tracer.start_span(name, context.Context(), SpanKind.INTERNAL, fields, links)

    def _carried(self, span: Span) -> bytes:
        return encode(Carried(text_of(span), self._service, self._endpoint))

    def _queue(self, message: TaskMessage) -> str:
        return self._own if message.place is None else message.place.queue

    def _fields(self, operation: str, queue: str | None) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "messaging.system": SYSTEM,
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
        }
        return fields if queue is None else {**fields, "messaging.destination.name": queue}

    def _end(self, span: Span, outcome: str, error: str | None) -> None:
        span.set_attribute("taskmill.outcome", outcome)
        if error is not None and span.is_recording():
            self._fail(span, _error(error))
        span.end()

    def _fail(self, span: Span, error: TaskError) -> None:
        span.set_attribute("error.type", error.type)
        if not self._error_details:
            span.set_status(StatusCode.ERROR)
            return
        span.set_status(StatusCode.ERROR, error.message)
        details = {"exception.type": error.type, "exception.message": error.message}
        if error.traceback:
            details["exception.stacktrace"] = error.traceback
        span.add_event("exception", details)


def _named(message: TaskMessage) -> dict[str, Any]:
    return {"messaging.message.id": message.id(), "taskmill.action": message.name}
