"""The trace that a caller is part of, where the program uses OpenTelemetry; nothing is imported for it otherwise."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def propagated() -> Mapping[str, str]:
    """Return the headers that tell of the active span, if there is one."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.propagate import inject  # noqa: PLC0415 - it is there

    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier


def trace_text() -> str | None:
    """Return the place of the active span as it is stored with a task; None where there is none."""
    carrier = propagated()
    text = f"{carrier.get('traceparent', '')} {carrier.get('tracestate', '')}".strip()
    return text or None
