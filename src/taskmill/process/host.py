"""`process.host`: where processes and isolated functions run."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from taskmill.process.pool import WorkerPool
from taskmill.process.python_process import PythonProcess
from taskmill.registry import Entry, EntryConfig
from taskmill.supervisor import Context
from taskmill.units import Duration, Size


class HostConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A place for processes, with worker processes of the operating system for isolated functions."""

    workers: Annotated[
        int, Meta(ge=0, le=256, description="How many functions run at once, each isolated.")
    ] = 2
    max_tasks: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Calls after which a worker is replaced; it goes on until the new one is ready."),
    ] = None
    max_memory: Annotated[
        Size | None,
        Meta(
            description="Resident memory above which a worker is replaced after its call. It takes Linux's `/proc`."
        ),
    ] = None
    lease: Annotated[
        Duration,
        Meta(
            description="How long a worker with calls may be stopped (`SIGSTOP`) before it is killed and replaced;"
            " a call that only takes long is left alone. It takes Linux's `/proc`."
        ),
    ] = Duration(30)


class ProcessHost:
    """Owns the pool of worker processes, once it has started, and knows the processes that run."""

    kind: ClassVar[str] = "process.host"
    Config: ClassVar[type[EntryConfig]] = HostConfig

    pool: WorkerPool

    def __init__(self, entry: Entry[Any], context: Context) -> None:  # noqa: ARG002 - every kind's signature
        self.running: set[str] = set()  # ids of processes
        self._config: HostConfig = entry.config

    async def start(self) -> None:
        """Begin to start the workers, and do not wait for them: the pool keeps calls until they are there."""
        config = self._config
        self.pool = WorkerPool(
            config.workers, lease=config.lease, max_tasks=config.max_tasks, max_memory=config.max_memory
        )
        self.pool.start()

    async def stop(self) -> None:
        """Finish the calls that there are, and leave no worker process behind."""
        if hasattr(self, "pool"):
            # What is left of the time allowed is for those that have to be killed.
            await self.pool.stop(self._config.lifecycle.stop_timeout * 0.8)

    async def run(self, process: PythonProcess) -> None:
        """Run a process to its end."""
        self.running.add(process.id)
        try:
            await process.run()
        finally:
            self.running.discard(process.id)
