"""Starts the parts of an application in dependency order, watches them, and stops them in reverse."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from taskmill.registry import Registry
from taskmill.supervisor.component import Component, Context, SupervisorError
from taskmill.supervisor.replacement import Replacement
from taskmill.units import Duration

T = TypeVar("T")

_GRACE: Final = 1.0  # seconds for a part to let go once it is cancelled
_log = logging.getLogger(__name__)


class State(StrEnum):
    """What a part is doing."""

    WAITING = "waiting"  # not begun; where nothing started needs it, it stays so
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"


class StartError(SupervisorError):
    """A part did not start, so the application did not. What had started before has been stopped."""

    def __init__(self, entry: str, cause: BaseException, blocked: list[str]) -> None:
        self.entry = entry
        self.cause = cause
        self.blocked = blocked  # what did not start because it depends on the entry
        reason = str(cause) if isinstance(cause, SupervisorError) else f"{type(cause).__name__}: {cause}"
        text = f"entry {entry} did not start: {reason}"
        super().__init__(f"{text}; not started because of it: {', '.join(blocked)}" if blocked else text)


class Supervisor:
    """Runs one application, once: after `stop`, make a new one.

    An entry with `auto_start: false` starts only if an entry that starts refers to it. A reference that
    attaches does not count: a server does not start its unwanted routes, nor a route its unwanted server.

    ``legacy`` is what a run before this one has left for parts of it, by their ids.
    """

    def __init__(
        self,
        registry: Registry,
        kinds: Mapping[str, type[Component]],
        data_dir: Path,
        legacy: Mapping[str, object] | None = None,
    ) -> None:
        self._registry = registry
        self._kinds = kinds
        self._components: dict[str, Component] = {}
        self._context = Context(
            self._components,
            self._failed,
            data_dir=data_dir,
            app_dir=registry.directory,
            entries=registry.entries,
            on_replacement=self._replace,
            legacy=legacy,
        )
        wanted = _wanted(registry)
        self._order = [entry.id for wave in registry.start_order() for entry in wave if entry.id in wanted]
        self._dependencies = {id_: registry.dependencies[id_] & wanted for id_ in self._order}
        self._dependents: dict[str, set[str]] = {id_: set() for id_ in self._order}
        for id_, dependencies in self._dependencies.items():
            for dependency in dependencies:
                self._dependents[dependency].add(id_)
        self._states = dict.fromkeys(registry.entries, State.WAITING)
        self._context.states = self._states
        self._started = {id_: asyncio.Event() for id_ in self._order}
        self._failure: tuple[str, BaseException] | None = None
        self._has_failed = asyncio.Event()
        self._replacement: Replacement | None = None
        self._is_replaced = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._aborted = False
        self._stopping: asyncio.Task[list[str]] | None = None

    @property
    def states(self) -> Mapping[str, State]:
        """What each entry is doing."""
        return self._states

    def get(self, id: str, type_: type[T]) -> T:  # noqa: A002 - it is called an id everywhere
        """Return the part with that id; raise SupervisorError if there is none or it is no `type_`."""
        return self._context.get(id, type_)

    async def start(self) -> None:
        """Start every part, in parallel where independent. Whatever goes wrong, nothing is left running.

        Raise StartError if a part fails, is late, or reports a failure before all have started.
        """
        if self._starting is not None or self._stopping is not None:
            raise SupervisorError("a supervisor starts only once")
        self._starting = asyncio.create_task(self._start_all())
        try:
            await self._starting
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            if self._failure is not None:
                raise StartError(*self._failure, []) from self._failure[1]
            raise SupervisorError("the application was stopped while it started") from None

    async def stop(self) -> list[str]:
        """Stop every part, in reverse order. Return the entries that did not stop in time, or failed to.

        Where a part has asked for a replacement of another, that takes place on the way.
        """
        if self._starting is not None and not self._starting.done():
            self._abort_start()
            await asyncio.wait({self._starting})
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop_all())
        return await self._stopping

    async def wait_failed(self) -> tuple[str, BaseException]:
        """Wait until a part reports that it cannot go on; return its id and why."""
        while self._failure is None:
            await self._has_failed.wait()
        return self._failure

    async def wait_replaced(self) -> Replacement:
        """Wait until a part asks for a replacement, which :meth:`stop` makes; return it."""
        while self._replacement is None:
            await self._is_replaced.wait()
        return self._replacement

    def _replace(self, replacement: Replacement) -> None:
        self._replacement = replacement
        self._is_replaced.set()

    def _failed(self, entry_id: str, error: BaseException) -> None:
        self._states[entry_id] = State.FAILED
        _log.error("entry %s cannot go on: %s: %s", entry_id, type(error).__name__, error)
        if self._failure is None:
            self._failure = (entry_id, error)
            self._has_failed.set()
            self._abort_start()

    def _abort_start(self) -> None:
        # Only once, and not while a failed start cleans up: a second cancel would break off the stopping.
        if self._starting is not None and self._stopping is None and not self._aborted:
            self._aborted = True
            self._starting.cancel()

    async def _start_all(self) -> None:
        try:
            for entry in self._registry.entries.values():
                try:
                    self._components[entry.id] = self._kinds[entry.kind](entry, self._context)
                except Exception as error:
                    raise StartError(entry.id, error, self._blocked_by(entry.id)) from error
            async with asyncio.TaskGroup() as group:
                for id_ in self._order:
                    group.create_task(self._start_one(id_), name=f"start {id_}")
        except ExceptionGroup as group_error:
            first, *others = group_error.exceptions
            for other in others:
                _log.error("%s", other)
            await self._stop_what_began()
            raise first from first.__cause__
        except BaseException:
            await self._stop_what_began()
            raise

    async def _start_one(self, id_: str) -> None:
        for dependency in self._dependencies[id_]:
            await self._started[dependency].wait()
        self._states[id_] = State.STARTING
        limit = self._registry.entries[id_].config.lifecycle.start_timeout
        try:
            await _bounded(self._components[id_].start(), limit, "start_timeout")
        except Exception as error:
            self._states[id_] = State.FAILED
            raise StartError(id_, error, self._blocked_by(id_)) from error
        if self._states[id_] is State.STARTING:  # and has not failed meanwhile
            self._states[id_] = State.RUNNING
        self._started[id_].set()

    async def _stop_what_began(self) -> None:
        self._stopping = asyncio.create_task(self._stop_all())
        await self._stopping

    async def _stop_all(self) -> list[str]:
        begun = [id_ for id_ in self._order if self._states[id_] is not State.WAITING]
        stopped = {id_: asyncio.Event() for id_ in begun}
        late: list[str] = []
        async with asyncio.TaskGroup() as group:
            for id_ in begun:
                group.create_task(self._stop_one(id_, stopped, late), name=f"stop {id_}")
        return late

    async def _stop_one(self, id_: str, stopped: Mapping[str, asyncio.Event], late: list[str]) -> None:
        for dependent in self._dependents[id_] & stopped.keys():
            await stopped[dependent].wait()
        if self._replacement is not None and self._replacement.entry.id == id_:
            await self._switch(self._replacement)
        failed = self._states[id_] is State.FAILED
        self._states[id_] = State.STOPPING
        limit = self._registry.entries[id_].config.lifecycle.stop_timeout
        try:
            await _bounded(self._components[id_].stop(), limit, "stop_timeout")
        except Exception as error:
            details = None if isinstance(error, SupervisorError) else error
            _log.error("entry %s did not stop: %s", id_, error, exc_info=details)
            late.append(id_)
        self._states[id_] = State.FAILED if failed else State.STOPPED
        stopped[id_].set()

    async def _switch(self, replacement: Replacement) -> None:
        try:
            await replacement.switch()
        except Exception as error:
            _log.error("entry %s is not replaced: %s: %s", replacement.entry.id, type(error).__name__, error)
            replacement.error = error

    def _blocked_by(self, id_: str) -> list[str]:
        blocked: set[str] = set()
        pending = [id_]
        while pending:
            pending += (found := self._dependents.get(pending.pop(), set()) - blocked)
            blocked |= found
        return [id_ for id_ in self._order if id_ in blocked]


def _wanted(registry: Registry) -> set[str]:
    pending = [entry.id for entry in registry.entries.values() if entry.config.lifecycle.auto_start]
    wanted: set[str] = set()
    while pending:
        id_ = pending.pop()
        if id_ not in wanted:
            wanted.add(id_)
            references = registry.entries[id_].references
            pending += [reference.target for reference in references if not reference.attaches]
    return wanted


async def _bounded(work: Coroutine[object, object, None], limit: Duration, limit_name: str) -> None:
    """Run `work`; raise SupervisorError if it takes longer than the limit.

    It runs in a task of its own, so that work which ignores being cancelled is left behind.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=limit)
        if not task.done():
            raise SupervisorError(f"it took longer than its {limit_name} of {limit}")
        if task.cancelled():
            raise SupervisorError("it was cancelled from within")
        task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_GRACE)
            if task.done() and not task.cancelled() and (error := task.exception()):
                _log.error("a cancelled part ended with %s: %s", type(error).__name__, error)
