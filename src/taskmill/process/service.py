"""`process.service`: starts a process with the application, and starts it again when it fails."""

import asyncio
import logging
from random import random
from typing import Annotated, Any, ClassVar

from taskmill.process.host import ProcessHost
from taskmill.process.python_process import PythonProcess
from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context, Hopeless, delays

log = logging.getLogger("taskmill.process")


class ServiceConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A supervised process. What depends on it starts once the process is done, or has run stably.

    `lifecycle.restart` says how it is started again after a failure, and `lifecycle.stable_threshold` what is
    stable.
    """

    process: Annotated[str, reference("process.python", description="What to run.")]
    host: Annotated[str, reference("process.host", description="Where to run it.")]


class ProcessService:
    """Watches over one process."""

    kind: ClassVar[str] = "process.service"
    Config: ClassVar[type[EntryConfig]] = ServiceConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._id = entry.id
        self._config: ServiceConfig = entry.config
        self._context = context
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the process is done or stable; raise its error when it is given up before that."""
        process = self._context.get(self._config.process, PythonProcess)
        host = self._context.get(self._config.host, ProcessHost)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch = asyncio.create_task(self._run(process, host, started), name=self._id)
        await started

    async def stop(self) -> None:
        """Cancel the process and wait for its end."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    async def _run(self, process: PythonProcess, host: ProcessHost, started: asyncio.Future[None]) -> None:
        lifecycle = self._config.lifecycle
        pauses = delays(lifecycle.restart, random)

        def stable() -> None:
            nonlocal pauses
            pauses = delays(lifecycle.restart, random)  # what failed before is forgotten
            if not started.done():
                started.set_result(None)

        while True:
            timer = asyncio.get_running_loop().call_later(lifecycle.stable_threshold, stable)
            try:
                await host.run(process)
            except Exception as error:
                failure = error
            else:
                stable()
                return
            finally:
                timer.cancel()
            pause = None if isinstance(failure, Hopeless) else next(pauses, None)
            if pause is None:
                break
            log.warning("process %s failed, next try in %.1f s: %s", process.id, pause, _shown(failure))
            await asyncio.sleep(pause)
        log.error("process %s failed and is given up: %s", process.id, _shown(failure))
        if started.done():
            self._context.fail(self._id, failure)
        else:
            started.set_exception(failure)


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
