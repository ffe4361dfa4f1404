"""`function.python`: a Python function that other entries name."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextvars import copy_context
from functools import partial
from inspect import iscoroutinefunction
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.process.messages import FunctionRef
from taskmill.process.source import load_attribute
from taskmill.process.source_check import check_source
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.supervisor import Context


class FunctionConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A Python function."""

    source: Annotated[str, Meta(description="`file://x.py`, beside this file, or a module `package.module`.")]
    method: Annotated[str, Meta(description="The name of the function in the source.")]
    needs: Annotated[
        dict[str, Annotated[str, reference("*")]],
        Meta(description="Entries that are handed to the function, by the names of its keyword arguments."),
    ] = field(default_factory=dict)


class PythonFunction:
    """A loaded function. Once it has started, `call` is the function with what it needs bound to it."""

    kind: ClassVar[str] = "function.python"
    Config: ClassVar[type[EntryConfig]] = FunctionConfig

    call: Callable[..., Any]

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self.id = entry.id
        self.config: FunctionConfig = entry.config
        self.directory = entry.directory
        self._context = context

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find a missing source or method, without running anything."""
        return check_source(entry.config.source, entry.config.method, entry.directory)

    async def start(self) -> None:
        """Load the function and bind what it needs."""
        function = load_attribute(self.config.source, self.config.method, self.directory)
        needs = {name: self._context.get(target, object) for name, target in self.config.needs.items()}
        self.call = partial(function, **needs) if needs else function

    async def stop(self) -> None:
        """Nothing to let go of."""

    @property
    def is_async(self) -> bool:
        """Whether the function runs on the event loop."""
        return iscoroutinefunction(self.call)

    def reference(self, adapter: str) -> FunctionRef:
        """Return what a worker process needs to run the function by itself, without what it `needs`."""
        return FunctionRef(self.config.source, self.config.method, str(self.directory), adapter)

    async def invoke(self, *args: Any, threads: Executor | None = None) -> Any:
        """Run the function: `async def` on the loop, `def` in a thread, one of `threads` if given."""
        if self.is_async:
            return await self.call(*args)
        call = partial(copy_context().run, self.call, *args)
        return await asyncio.get_running_loop().run_in_executor(threads, call)
