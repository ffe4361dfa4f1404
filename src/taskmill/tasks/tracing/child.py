"""Tracing in a worker process: what an action does there belongs to the span of its attempt, which the server has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from opentelemetry import context

from taskmill.tasks.tracing.carrier import in_text
from taskmill.tasks.tracing.sdk import provide


class Carried(msgspec.Struct, frozen=True, array_like=True):
    """What a call takes along: the place in its trace, and how a process sends spans."""

    trace: str
    service: str
    endpoint: str | None


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Carried).decode


@contextmanager
def continuing(carried: bytes) -> Iterator[None]:
    """Be within the trace that a call takes along."""
    found = _decode(carried)
    provide(found.service, found.endpoint)
    token = context.attach(in_text(found.trace))
    try:
        yield
    finally:
        context.detach(token)
