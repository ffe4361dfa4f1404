"""What ``taskmill run`` does: start an application, wait for a signal or a failure, stop it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import typer

from taskmill import application
from taskmill.cli import roles
from taskmill.cli.application import read
from taskmill.cli.only import Only
from taskmill.cli.root import wrong
from taskmill.cli.systemd import notify
from taskmill.http import HttpService
from taskmill.registry import Registry
from taskmill.supervisor import Replacement, State, Supervisor, SupervisorError

logger = logging.getLogger("taskmill")


def run(
    directory: Path,
    addr: str,
    data: Path,
    only: Only | None,
    overrides: list[str],
    began: float,
    *,
    insecure: bool = False,
) -> int:
    """Run an application to its end; return the exit code. ``began`` is the monotonic time of the command's start."""
    given = [*_addresses(directory, overrides, addr), *overrides]
    if insecure:
        given = [*(f"{server}:insecure=true" for server in _servers(directory, overrides)), *given]
    registry = read(directory, given)
    asked = [*roles.asked(registry, only), *given]
    registry = read(directory, asked) if only is not None else registry
    if left_out := roles.left_out(registry, probes=bool(addr)):
        registry = read(directory, [*left_out, *asked])
    return _loop_run(registry, data.resolve(), began)


def _addresses(directory: Path, overrides: list[str], addr: str) -> list[str]:
    """Turn ``--addr`` into an override of the one server there is."""
    if not addr:
        return []
    servers = _servers(directory, overrides)
    if len(servers) != 1:
        wrong(f"--addr needs exactly one http.service; here are {', '.join(servers) or 'none'}: use `-o`")
    return [f"{servers[0]}:addr={addr}"]


def _servers(directory: Path, overrides: list[str]) -> list[str]:
    entries = read(directory, overrides).entries.values()
    return [entry.id for entry in entries if entry.kind == HttpService.kind]


def _loop_run(registry: Registry, data: Path, began: float) -> int:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(_serve(registry, data, began))
    return uvloop.run(_serve(registry, data, began))


async def _serve(registry: Registry, data: Path, began: float) -> int:
    """Run the application, and again with another entry in place of one where a part asks for that."""
    stop = asyncio.Event()
    _heed_signals(stop)
    stopping = asyncio.create_task(stop.wait())
    replacement: Replacement | None = None
    legacy: dict[str, object] = {}
    while True:
        supervisor = application.supervise(registry, data, legacy)
        if not await _start(supervisor, stopping):
            return 0 if stop.is_set() else 1
        if replacement is None:
            _greet(registry, supervisor, data, time.monotonic() - began)
            notify("READY=1\nSTATUS=serving")
        else:
            replacement.held = time.monotonic() - began
            logger.info("%s; nobody was served for %.2f s", _came_to(replacement), replacement.held)
        # What start-up made lives as long as the process: the collector need never look at it again.
        gc.collect()
        gc.freeze()
        failing = asyncio.create_task(supervisor.wait_failed())
        replacing = asyncio.create_task(supervisor.wait_replaced())
        await asyncio.wait({failing, replacing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done() or stopping.done():
            replacing.cancel()
            return await _end(supervisor, failing)
        failing.cancel()
        began = time.monotonic()
        replacement = replacing.result()
        legacy = {**_handed_over(registry, supervisor), **replacement.legacy}
        await supervisor.stop()
        if replacement.error is None:
            registry = Registry(
                registry.directory, {**registry.entries, replacement.entry.id: replacement.entry}
            )


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


def _handed_over(registry: Registry, supervisor: Supervisor) -> dict[str, object]:
    """Take the sockets that servers listen on, so that clients wait while none is there."""
    return {
        entry.id: supervisor.get(entry.id, HttpService).hand_over()
        for entry in registry.entries.values()
        if entry.kind == HttpService.kind and supervisor.states[entry.id] is State.RUNNING
    }


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
            url = f"http://{host}:{supervisor.get(entry.id, HttpService).port}"
            typer.echo(f"Taskmill listens on {url}")
            if registry.directory == application.BUILTIN and State.WAITING not in supervisor.states.values():
                typer.echo(
                    f'Try:\n  curl {url}/tasks -d \'{{"action": "uppercase", "data": {{"text": "hello"}}}}\' '
                    f"-H 'Content-Type: application/json'\n"
                    f"  curl {url}/tasks"
                )
