"""`process.python`: a function that runs by itself, until it is done or the application stops."""

import asyncio
import threading
from contextlib import suppress
from contextvars import copy_context
from typing import Any, ClassVar

from taskmill.process.function import FunctionConfig, PythonFunction
from taskmill.registry import EntryConfig


class ProcessConfig(FunctionConfig, kw_only=True, forbid_unknown_fields=True):
    """A Python function to be run as a process. It returns 0 when it is done."""


class ProcessError(Exception):
    """A process that did not end well."""


class PythonProcess(PythonFunction):
    """A process: `async def` runs on the loop, `def` in a thread of its own."""

    kind: ClassVar[str] = "process.python"
    Config: ClassVar[type[EntryConfig]] = ProcessConfig

    async def run(self) -> None:
        """Run it once. Raise what it raises, and ProcessError if it returns anything but 0 or None."""
        try:
            result = await (self.call() if self.is_async else self._in_thread())
        except SystemExit as error:  # it must end the process, not the program
            result = error.code
        if result not in (0, None):
            raise ProcessError(f"process `{self.id}` returned {result!r}; 0 would mean that it is done")

    async def _in_thread(self) -> Any:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
        context = copy_context()

        def body() -> None:
            result, error = None, None
            try:
                result = context.run(self.call)
            except BaseException as raised:  # it is raised again on the loop
                error = raised
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(ended.set_result, (result, error))

        # A daemon: one that never ends must not keep the program from ending.
        threading.Thread(target=body, name=self.id, daemon=True).start()
        try:
            result, error = await asyncio.shield(ended)
        except asyncio.CancelledError:
            await asyncio.wait([ended])  # a thread cannot be stopped, only waited for
            raise
        if error is not None:
            raise error
        return result
