"""The command line."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from taskmill import __version__, application
from taskmill.http import HttpService
from taskmill.logs import LogFormat, LogLevel, configure
from taskmill.registry import Registry, RegistryError
from taskmill.supervisor import Supervisor, SupervisorError

logger = logging.getLogger("taskmill")

app = typer.Typer(
    name="taskmill",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="A durable task queue behind a REST API. `taskmill run` starts it; `taskmill COMMAND --help` tells more.",
)

Directory = Annotated[
    Path,
    typer.Argument(help="The application: where its `_index.yaml` is. Without one here, the built-in one."),
]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--override", "-o", metavar="NS:ENTRY:FIELD=VALUE",
        help="Set a field of an entry, such as `app:db:file=:memory:`. May be repeated.",
    ),
]  # fmt: skip


@app.command()
def run(
    directory: Directory = Path(),
    addr: Annotated[str, typer.Option(metavar="HOST:PORT", help="The gateway's address.")] = "",
    data: Annotated[Path, typer.Option(help="Where databases and state are kept.")] = Path("data"),
    override: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    log_format: Annotated[
        LogFormat, typer.Option(help="Lines for people, or JSON for programs.")
    ] = LogFormat.TEXT,
    log_level: Annotated[LogLevel, typer.Option(help="How much to log.")] = LogLevel.INFO,
) -> None:
    """Start an application, until Ctrl-C or SIGTERM.

    The first signal drains: nothing more is accepted, what runs is finished, everything is committed. A
    second one stops at once. Nothing acknowledged is lost either way.

    Example: `taskmill run --addr 127.0.0.1:9000 --data /tmp/demo -o app:task_consumer:concurrency=8`
    """
    began = time.monotonic()
    configure(log_format, log_level)
    registry = _read(directory, [*_addresses(directory, override, addr), *override])
    sys.exit(_loop_run(registry, data.resolve(), began))


@app.command()
def check(directory: Directory = Path(), override: Overrides = []) -> None:  # noqa: B006 - as above
    """Load and validate an application, list its entries in start order, start nothing.

    Every mistake is reported at once, with its file, line, entry, field and the nearest right name. Exits
    with 2 if there is one.
    """
    registry = _read(directory, override)
    table = Table("Step", "Entry", "Kind", "After", title=str(registry.directory), title_justify="left")
    for step, wave in enumerate(registry.start_order(), 1):
        for entry in wave:
            after = ", ".join(sorted(registry.dependencies[entry.id]))
            table.add_row(str(step), entry.id, entry.kind, after)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for warning in application.warnings(registry):
        typer.echo(f"warning: {warning}", err=True)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"taskmill {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()


def _read(directory: Path, overrides: list[str]) -> Registry:
    if not directory.is_dir():
        _wrong(f"{directory} is not a directory")
    try:
        return application.read(application.find(directory), overrides)
    except RegistryError as error:
        count = len(error.problems)
        _wrong(f"{error}\n{count} mistake{'s' if count > 1 else ''}; nothing was started")


def _addresses(directory: Path, overrides: list[str], addr: str) -> list[str]:
    """Turn ``--addr`` into an override of the one server there is."""
    if not addr:
        return []
    servers = [
        entry.id for entry in _read(directory, overrides).entries.values() if entry.kind == HttpService.kind
    ]
    if len(servers) != 1:
        _wrong(f"--addr needs exactly one http.service; here are {', '.join(servers) or 'none'}: use `-o`")
    return [f"{servers[0]}:addr={addr}"]


def _wrong(message: str) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(2)


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
        if entry.kind == HttpService.kind:
            host = entry.config.addr.rpartition(":")[0]
            url = f"http://{host}:{supervisor.get(entry.id, HttpService).port}"
            typer.echo(f"Taskmill listens on {url}")
            if registry.directory == application.BUILTIN:
                typer.echo(
                    f'Try:\n  curl {url}/tasks -d \'{{"action": "uppercase", "data": {{"text": "hello"}}}}\' '
                    f"-H 'Content-Type: application/json'\n"
                    f"  curl {url}/tasks"
                )
