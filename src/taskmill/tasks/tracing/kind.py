"""``observe.otel``: traces of a task queue by OpenTelemetry."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from msgspec import Meta

from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context, SupervisorError
from taskmill.tasks.service import TaskService

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from taskmill.tasks.tracing.tracing import Tracing

FLUSH: Final = 5.0  # seconds for which the end waits until spans are sent


class OtelConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Sends spans of submissions and attempts by OTLP over HTTP, in the traces that clients begin.

    The environment of OpenTelemetry (`OTEL_*`) says the rest: headers, sampling, the resource. It takes
    `pip install "taskmill[otel]"`.
    """

    tasks: Annotated[
        str, reference("task.service", attaches=True, description="The task queue that is traced.")
    ]
    endpoint: Annotated[
        Annotated[str, Meta(pattern=r"^https?://")] | None,
        Meta(
            description="The collector's address, such as `http://localhost:4318`; `/v1/traces` is put behind it. "
            "`null`: what `OTEL_EXPORTER_OTLP_ENDPOINT` says, or this machine."
        ),
    ] = None
    service_name: Annotated[
        str,
        Meta(min_length=1, description="What it is called in traces, unless `OTEL_SERVICE_NAME` says so."),
    ] = "taskmill"
    error_details: Annotated[
        bool, Meta(description="Whether messages and tracebacks of errors are sent, or their types alone.")
    ] = True


class Otel:
    """Gives a task queue, which starts after, what makes its spans."""

    kind: ClassVar[str] = "observe.otel"
    Config: ClassVar[type[EntryConfig]] = OtelConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: OtelConfig = entry.config
        self._context = context
        self._provider: TracerProvider | None = None
        self._tracing: Tracing | None = None

    async def start(self) -> None:
        """Begin to trace. Raises SupervisorError where a library is missing, or another entry traces the same."""
        config = self._config
        tasks = self._context.get(config.tasks, TaskService)
        if tasks.tracing is not None:
            raise SupervisorError(f"{config.tasks} is traced by another `{self.kind}` already")
        try:
            from taskmill.tasks.tracing.sdk import provide, tracer_of  # noqa: PLC0415 - not in the base install
            from taskmill.tasks.tracing.tracing import Tracing  # noqa: PLC0415
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("taskmill"):
                raise
            raise SupervisorError(f'it takes `{error.name}`: pip install "taskmill[otel]"') from None
        self._provider = provide(config.service_name, config.endpoint)
        tracer, service = tracer_of(self._provider), config.service_name
        tracing = Tracing(tracer, service, config.endpoint, error_details=config.error_details)
        self._tracing = tasks.tracing = tracing

    async def stop(self) -> None:
        """Send what is left. The tasks have stopped."""
        tracing, self._tracing = self._tracing, None
        if tracing is None or self._provider is None:
            return
        from taskmill.tasks.tracing.sdk import flush  # noqa: PLC0415 - not in the base install

        tracing.close()
        await asyncio.to_thread(flush, self._provider, FLUSH)
