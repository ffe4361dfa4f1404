"""Spans without a server: how attempts end, what a place in a trace looks like, where spans are sent."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from taskmill.process.messages import FunctionRef
from taskmill.registry import Entry
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Registered
from taskmill.tasks.ids import IdSource
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Outcome, Row
from taskmill.tasks.service import TaskService
from taskmill.tasks.tracing import sdk
from taskmill.tasks.tracing.carrier import in_text, text_of
from taskmill.tasks.tracing.kind import Otel
from taskmill.tasks.tracing.tracing import Tracing

REGISTERED = Registered(Action(lambda: "done", name="work", inline=True), FunctionRef("", "", ""))
PLACE = f"00-{1:032x}-{2:016x}-01 vendor=here"


class Stage:
    """A tracing whose spans stay in memory, and the parts of a task queue that it joins."""

    def __init__(self, error_details: bool = True, **options: Any) -> None:
        self.spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False, **options)
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracing = Tracing(sdk.tracer_of(provider), "shop", None, error_details=error_details)
        self.observed: list[Outcome] = []
        self.settled: list[TaskMessage] = []

        def observe(outcome: Outcome, _rows: list[Row], _messages: list[TaskMessage]) -> None:
            self.observed.append(outcome)

        self.store = SimpleNamespace(observe=observe)
        worker = SimpleNamespace(trace=lambda _: None)
        meter = SimpleNamespace(since_of=lambda message: message.started_at - 1500)
        parts = {"store": self.store, "worker": worker, "figures": SimpleNamespace(meter=meter)}
        tasks = SimpleNamespace(intake=SimpleNamespace(), bulk=SimpleNamespace(), **parts)
        self.tracing.join(cast(TaskService, tasks), "tasks")

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self.spans.get_finished_spans()


def message(place: str = PLACE) -> TaskMessage:
    made = TaskMessage(IdSource().next(), "work", REGISTERED, "{}")
    made.started_at = 10_000
    if place:
        made.trace = place
    return made


def test_an_attempt_ends_with_its_commit_and_not_before() -> None:
    stage, task = Stage(), message()
    assert stage.tracing.run(task) == "done"
    assert stage.ended == ()
    stage.store.observe("completed", [(1, 10_000, 10_001, "{}", task.key, 1)], [task])
    (span,) = stage.ended
    assert stage.observed == ["completed"]
    assert span.name == "process tasks"
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (1, 2)
    assert span.context is not None
    assert span.context.trace_state.get("vendor") == "here"
    assert span.attributes is not None
    assert (span.attributes["taskmill.waited"], span.attributes["taskmill.outcome"]) == (1.5, "completed")


@pytest.mark.parametrize("details", [True, False])
@pytest.mark.parametrize(("outcome", "place"), [("failed", 3), ("retried", 2)])
def test_an_error_is_found_in_what_is_stored(outcome: Outcome, place: int, details: bool) -> None:
    stage, task = Stage(details), message()
    stage.tracing.run(task)
    row: list[Any] = [None] * 7
    row[place] = '{"type":"ValueError","message":"no","at":"2026-01-01T00:00:00.000Z","traceback":"line 1"}'
    stage.store.observe(outcome, [tuple(row)], [task])
    (span,) = stage.ended
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    if not details:
        assert span.status.description is None
        assert not span.events
        return
    (event,) = span.events
    assert event.attributes == {
        "exception.type": "ValueError", "exception.message": "no", "exception.stacktrace": "line 1",
    }  # fmt: skip


def test_what_ends_without_a_commit_has_its_span_too() -> None:
    stage, cancelled, released = Stage(), message(), message("")
    stage.tracing.run(cancelled)
    stage.tracing.run(released)
    settle = stage.tracing.settling(stage.settled.extend)
    settle([cancelled, message()])
    stage.tracing.close()
    outcomes = [span.attributes and span.attributes["taskmill.outcome"] for span in stage.ended]
    assert outcomes == ["cancelled", "released"]
    assert len(stage.settled) == 2
    assert stage.ended[1].parent is None


def test_a_submission_that_is_not_stored_is_an_error() -> None:
    stage = Stage()
    with pytest.raises(OSError, match="full"), stage.tracing.sending_many([], {"a", "b"}, 2):
        raise OSError("the disk is full")
    (span,) = stage.ended
    assert span.name == "send"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "OSError"
    assert "messaging.destination.name" not in span.attributes


def test_what_is_not_sampled_has_a_place_all_the_same() -> None:
    stage = Stage(sampler=ALWAYS_OFF)
    with stage.tracing.sending_many([], {"a"}, 1) as place:
        assert int(place[-2:], 16) & 1 == 0
    assert stage.ended == ()


@pytest.mark.parametrize("text", [None, "", "nonsense", "00-1-2-3 a=b", PLACE.partition(" ")[0] + " ,,=,"])
def test_a_place_that_is_damaged_is_none_or_loses_its_state(text: str | None) -> None:
    span = trace.get_current_span(in_text(text))
    valid = span.get_span_context().is_valid
    assert valid is ("-01" in (text or ""))
    assert text_of(span) == ((text or "").partition(" ")[0] if valid else "")
    assert text_of(trace.get_current_span(in_text(PLACE))) == PLACE


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TracerProvider]]:
    """Giving this process a provider is only noted."""
    found: list[TracerProvider] = []
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    monkeypatch.setattr(trace, "set_tracer_provider", found.append)
    for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)
    yield found
    for provider in found:
        provider.shutdown()


@pytest.mark.parametrize(
    ("name", "value", "service"),
    [
        ("NOTHING", "", "shop"),
        ("OTEL_SERVICE_NAME", "x", "x"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=y", "y"),
    ],
)
def test_the_environment_says_what_it_is_called(
    made: list[TracerProvider], monkeypatch: pytest.MonkeyPatch, name: str, value: str, service: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    sdk.provide.__wrapped__("shop", None)
    assert made[0].resource.attributes[SERVICE_NAME] == service


def test_an_endpoint_is_a_base(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str | None] = []

    def exporter(endpoint: str | None) -> None:
        made.append(endpoint)

    monkeypatch.setattr(sdk, "OTLPSpanExporter", exporter)
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    for endpoint in ("http://a:4318", "http://a:4318/", None):
        sdk._exporter(endpoint)
    assert made == ["http://a:4318/v1/traces", "http://a:4318/v1/traces", None]
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert sdk._exporter("http://a:4318") is None


def test_a_provider_of_the_applications_own_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    own = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: own)
    assert sdk.provide.__wrapped__("shop", None) is own


def test_a_library_that_is_missing_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "taskmill.tasks.tracing.sdk")
    service = TaskService.__new__(TaskService)
    service.tracing = None
    context = Context({"app:tasks": service}, lambda *_: None, data_dir=tmp_path, app_dir=tmp_path)
    entry: Entry[Any] = cast(
        "Entry[Any]",
        SimpleNamespace(config=SimpleNamespace(tasks="app:tasks", endpoint=None, service_name="x")),
    )
    with pytest.raises(SupervisorError) as caught:
        asyncio.run(Otel(entry, context).start())
    assert str(caught.value) == 'it takes `opentelemetry`: pip install "taskmill[otel]"'
