"""What ``taskmill run`` does: start an application, wait for a signal or a failure, stop it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from pathlib import Path

import typer

from taskmill import application
from taskmill.cli import roles
from taskmill.cli.application import read
from taskmill.cli.only import Only
from taskmill.cli.root import wrong
from taskmill.http import HttpService
from taskmill.registry import Registry
from taskmill.supervisor import State, Supervisor, SupervisorError

logger = logging.getLogger("taskmill")


def run(
    directory: Path, addr: str, data: Path, only: Only | None, overrides: list[str], began: float
) -> int:
    """Run an application to its end; return the exit code. ``began`` is the monotonic time of the command's start."""
    given = [*_addresses(directory, overrides, addr), *overrides]
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
    servers = [
        entry.id for entry in read(directory, overrides).entries.values() if entry.kind == HttpService.kind
    ]
    if len(servers) != 1:
        wrong(f"--addr needs exactly one http.service; here are {', '.join(servers) or 'none'}: use `-o`")
    return [f"{servers[0]}:addr={addr}"]


def _loop_run(registry: Registry, data: Path, began: float) -> int:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(_serve(registry, data, began))
    return uvloop.run(_serve(registry, data, began))


async def _serve(registry: Registry, data: Path, began: float) -> int:
    supervisor = application.supervise(registry, data)
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            logger.warning("stopping at once")
            os._exit(1)
        logger.info("stopping: finishing what runs (once more to stop at once)")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        await supervisor.stop()
    try:
        await starting
    except SupervisorError as error:
        if stop.is_set():
            return 0
        typer.echo(f"taskmill: {error}", err=True)
        return 1
    _greet(registry, supervisor, data, time.monotonic() - began)
    # What start-up made lives as long as the process: the collector need never look at it again.
    gc.collect()
    gc.freeze()
    failing = asyncio.create_task(supervisor.wait_failed())
    await asyncio.wait({failing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    failed = failing.done()
    late = await supervisor.stop()
    if failed:
        entry, cause = failing.result()
        typer.echo(f"taskmill: entry {entry} cannot go on: {cause}", err=True)
    else:
        logger.info("stopped" if not late else f"stopped; not in time: {', '.join(late)}")
    return 1 if failed or late else 0


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
