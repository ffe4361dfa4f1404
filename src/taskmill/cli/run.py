"""``taskmill run``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.application import Directory, Overrides
from taskmill.cli.only import Only
from taskmill.cli.root import APPLICATION, app
from taskmill.logs import LogFormat, LogLevel, configure


@app.command(rich_help_panel=APPLICATION)
def run(
    directory: Directory = Path(),
    addr: Annotated[str, typer.Option(metavar="HOST:PORT", help="The gateway's address.")] = "",
    data: Annotated[Path, typer.Option(help="Where databases and state are kept.")] = Path("data"),
    only: Annotated[
        Only | None,
        typer.Option(
            help="`http`: take tasks in, run none. `workers`: run them; with `--addr` a server answers probes alone."
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Listen beyond this machine, although anybody may ask anything."),
    ] = False,
    override: Overrides = [],  # noqa: B006 - typer reads the default and never changes it
    reload: Annotated[
        bool, typer.Option("--reload", help="Start again, in place, when an action or the registry changes.")
    ] = False,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            help="Lines for people, JSON for programs, or `auto`: JSON where nobody sits at a terminal."
        ),
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
    from taskmill.cli import serving  # noqa: PLC0415 - slow to import, and for this command alone
    from taskmill.cli.given import Given  # noqa: PLC0415

    given = Given(addr, only, override, insecure=insecure)
    sys.exit(serving.run(directory, data, given, began, reload=reload))
