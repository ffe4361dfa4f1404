"""The SDK of OpenTelemetry: where spans go, in the server and in each of its worker processes."""

from __future__ import annotations

import atexit
import os
from functools import cache
from threading import Thread
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from taskmill import __version__

PATH: Final = "/v1/traces"
LAST: Final = 2.0  # seconds that the end of the process takes at most


@cache
def provide(service: str, endpoint: str | None) -> trace.TracerProvider:
    """Return what makes tracers in this process, the application's own where it has set one up.

    ``service`` is what this calls itself, and ``endpoint`` where spans go, unless the environment (`OTEL_*`) says so.
    The process's end sends what is left, and does not wait long for that.
    """
    found = trace.get_tracer_provider()
    if not isinstance(found, trace.ProxyTracerProvider):
        return found
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {SERVICE_NAME: service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = _exporter(endpoint)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
        atexit.register(_finish, provider, exporter)
    trace.set_tracer_provider(provider)
    return provider


def flush(provider: trace.TracerProvider, seconds: float) -> None:
    """Send the spans that have ended, and wait for it so long at most: the SDK itself knows no end of trying."""
    sending = getattr(provider, "force_flush", None)
    if sending is not None:
        thread = Thread(target=sending, name="taskmill-spans", daemon=True)
        thread.start()
        thread.join(seconds)


def _finish(provider: trace.TracerProvider, exporter: SpanExporter) -> None:
    flush(provider, LAST)
    exporter.shutdown()  # a thread that still tries gives up


def _exporter(endpoint: str | None) -> SpanExporter | None:
    kind = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if kind == "none":
        return None
    if kind == "console":
        return ConsoleSpanExporter()
    return OTLPSpanExporter(endpoint=None if endpoint is None else endpoint.rstrip("/") + PATH)


def tracer_of(provider: trace.TracerProvider) -> trace.Tracer:
    """Return what makes spans."""
    return provider.get_tracer("taskmill", __version__)
