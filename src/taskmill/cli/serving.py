"""What ``taskmill run`` does: start an application, wait for a signal or a failure, stop it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import typer

from taskmill import application
from taskmill.cli.application import read_by
from taskmill.cli.given import Given
from taskmill.cli.reload import Reload
from taskmill.cli.systemd import notify
from taskmill.http import HttpService
from taskmill.queue import Consumer
from taskmill.registry import Registry
from taskmill.supervisor import Replacement, State, Supervisor, SupervisorError

logger = logging.getLogger("taskmill")


def run(directory: Path, data: Path, given: Given, began: float, *, reload: bool = False) -> int:
    """Run an application to its end; return the exit code. ``began`` is the monotonic time of the command's start."""
    registry = read_by(given.read, directory)
    watch = Reload(registry, lambda: given.read(registry.directory)) if reload else None
    return _loop_run(registry, data.resolve(), began, watch)


def _loop_run(registry: Registry, data: Path, began: float, reload: Reload | None) -> int:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(_serve(registry, data, began, reload))
    return uvloop.run(_serve(registry, data, began, reload))


async def _serve(registry: Registry, data: Path, began: float, reload: Reload | None) -> int:
    """Run the application, and again with other entries or sources in the place of some where that is asked for."""
    stop = asyncio.Event()
    _heed_signals(stop)
    stopping = asyncio.create_task(stop.wait())
    following: Replacement | Registry | None = None  # what the last run made place for
    before = registry  # of that run
    went_back = False  # to it
    legacy: dict[str, object] = {}
    sockets: dict[str, socket.socket] = {}
    while True:
        handed = {id_: listening.dup() for id_, listening in sockets.items()}
        supervisor = application.supervise(registry, data, {**legacy, **handed})
        if not await _start(supervisor, stopping):
            if reload is None or not isinstance(following, Registry) or went_back or stop.is_set():
                return 0 if stop.is_set() else 1
            reload.take_back()
            registry, went_back = before, True
            continue
        for listening in sockets.values():
            listening.close()
        if went_back:
            logger.error("not reloaded: what ran before goes on")
        else:
            _report(registry, supervisor, data, following, time.monotonic() - began)
        _settle_memory()
        failing = asyncio.create_task(supervisor.wait_failed())
        asked = await _asked(supervisor, {failing, stopping}, reload)
        if isinstance(asked, Registry):
            await _drain(registry, supervisor, {failing, stopping})
        if asked is None or failing.done() or stopping.done():
            return await _end(supervisor, failing)
        failing.cancel()
        began = time.monotonic()
        sockets = _handed_over(registry, supervisor, asked)
        legacy = dict(asked.legacy) if isinstance(asked, Replacement) else {}
        await supervisor.stop()
        following, before, went_back = asked, registry, False
        if isinstance(asked, Registry):
            registry = asked
        elif asked.error is None:
            registry = Registry(registry.directory, {**registry.entries, asked.entry.id: asked.entry})


async def _asked(
    supervisor: Supervisor, ending: set[asyncio.Task[Any]], reload: Reload | None
) -> Replacement | Registry | None:
    """Wait until one of ``ending`` is done, and return None, or something else is to run in place of what does."""
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(supervisor.wait_replaced())]
    if reload is not None:
        tasks.append(asyncio.create_task(reload.following()))
    await asyncio.wait({*tasks, *ending}, return_when=asyncio.FIRST_COMPLETED)
    found = next((task.result() for task in tasks if task.done()), None)
    for task in tasks:
        task.cancel()
    return None if any(task.done() for task in ending) else found


async def _drain(registry: Registry, supervisor: Supervisor, ending: set[asyncio.Task[Any]]) -> None:
    """Begin no more tasks, and wait for those that run, while requests are still answered."""
    consumers = [
        asyncio.create_task(supervisor.get(entry.id, Consumer).stop())
        for entry in registry.entries.values()
        if entry.kind == Consumer.kind and supervisor.states[entry.id] is State.RUNNING
    ]
    if consumers:
        drained = asyncio.gather(*consumers)
        await asyncio.wait({drained, *ending}, return_when=asyncio.FIRST_COMPLETED)


def _settle_memory() -> None:
    """Tell the collector that what start-up has made lives as long as the run: it need not look at it again."""
    gc.unfreeze()  # the run before this one is garbage now
    gc.collect()
    gc.freeze()


def _heed_signals(stop: asyncio.Event) -> None:
    def on_signal() -> None:
        if stop.is_set():
            logger.warning("stopping at once")
            os._exit(1)
        logger.info("stopping: finishing what runs (once more to stop at once)")
        notify("STOPPING=1\nSTATUS=finishing what runs")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)


async def _start(supervisor: Supervisor, stopping: asyncio.Task[Any]) -> bool:
    """Start the application; return false, having said why, where it did not or was stopped meanwhile."""
    starting = asyncio.create_task(supervisor.start())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        await supervisor.stop()
    try:
        await starting
    except SupervisorError as error:
        if not stopping.done():
            typer.echo(f"taskmill: {error}", err=True)
        return False
    return True


async def _end(supervisor: Supervisor, failing: asyncio.Task[tuple[str, BaseException]]) -> int:
    """Stop the application for good; return the exit code."""
    failed = failing.done()
    late = await supervisor.stop()
    if failed:
        entry, cause = failing.result()
        typer.echo(f"taskmill: entry {entry} cannot go on: {cause}", err=True)
    else:
        failing.cancel()
        logger.info("stopped" if not late else f"stopped; not in time: {', '.join(late)}")
    return 1 if failed or late else 0


def _handed_over(
    registry: Registry, supervisor: Supervisor, following: Replacement | Registry
) -> dict[str, socket.socket]:
    """Take the sockets that servers listen on, and will again, so that clients wait while none is there."""
    entries = following.entries if isinstance(following, Registry) else registry.entries
    return {
        entry.id: supervisor.get(entry.id, HttpService).hand_over()
        for entry in registry.entries.values()
        if entry.kind == HttpService.kind
        and supervisor.states[entry.id] is State.RUNNING
        and entry.id in entries
        and getattr(entries[entry.id].config, "addr", None) == entry.config.addr
    }


def _report(
    registry: Registry,
    supervisor: Supervisor,
    data: Path,
    following: Replacement | Registry | None,
    seconds: float,
) -> None:
    """Say that the application runs, or runs again; it took so long."""
    if following is None:
        _greet(registry, supervisor, data, seconds)
        notify("READY=1\nSTATUS=serving")
    elif isinstance(following, Registry):
        logger.info("reloaded; nobody was served for %.2f s", seconds)
    else:
        following.held = seconds
        logger.info("%s; nobody was served for %.2f s", _came_to(following), seconds)


def _came_to(replacement: Replacement) -> str:
    """Say how a replacement ended."""
    if replacement.error is not None:
        return f"goes on without a new {replacement.entry.id}: {replacement.error}"
    return f"goes on with {replacement.entry.id} as a {replacement.entry.kind}"


def _greet(registry: Registry, supervisor: Supervisor, data: Path, seconds: float) -> None:
    logger.info("%d entries started in %.2f s, state under %s", len(registry.entries), seconds, data)
    for entry in registry.entries.values():
        if entry.kind == HttpService.kind and supervisor.states[entry.id] is State.RUNNING:
            host = entry.config.addr.rpartition(":")[0]
            scheme = "http" if entry.config.tls is None else "https"
            url = f"{scheme}://{host}:{supervisor.get(entry.id, HttpService).port}"
            typer.echo(f"Taskmill listens on {url}")
            if registry.directory == application.BUILTIN and State.WAITING not in supervisor.states.values():
                typer.echo(
                    f'Try:\n  curl {url}/tasks -d \'{{"action": "uppercase", "data": {{"text": "hello"}}}}\' '
                    f"-H 'Content-Type: application/json'\n"
                    f"  curl {url}/tasks"
                )
