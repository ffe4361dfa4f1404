"""A place in a trace as it is stored with a task: its `traceparent`, and after a space its `tracestate`."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_NAMES = (b"traceparent", b"tracestate")


def in_headers(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return where a request's headers say that it belongs; a context without a span where they do not."""
    found = {name.decode(): value.decode("latin-1") for name, value in headers if name in _NAMES}
    return _propagator.extract(found, Context())


def in_text(text: str | None) -> Context:
    """Return where a task belongs."""
    parent, _, state = (text or "").partition(" ")
    return _propagator.extract({"traceparent": parent, "tracestate": state}, Context())


def text_of(span: Span) -> str:
    """Return what stands for a span, for those that come after it."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(span, Context()))
    return f"{carrier.get('traceparent', '')} {carrier.get('tracestate', '')}".strip()
