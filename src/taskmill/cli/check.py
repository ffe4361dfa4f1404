"""``taskmill check``."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from taskmill.cli.application import Directory, Overrides, read
from taskmill.cli.root import APPLICATION, app


@app.command(rich_help_panel=APPLICATION)
def check(directory: Directory = Path(), override: Overrides = []) -> None:  # noqa: B006 - typer never changes it
    """Load and validate an application, list its entries in start order, start nothing.

    Every mistake is reported at once, with its file, line, entry, field and the nearest right name. Exits
    with 2 if there is one.

    Example: `taskmill check shop`
    """
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not for every command
    from rich.table import Table  # noqa: PLC0415

    from taskmill import application  # noqa: PLC0415

    registry = read(directory, override)
    table = Table("Step", "Entry", "Kind", "After", title=str(registry.directory), title_justify="left")
    for step, wave in enumerate(registry.start_order(), 1):
        for entry in wave:
            after = ", ".join(sorted(registry.dependencies[entry.id]))
            table.add_row(str(step), entry.id, entry.kind, after)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for warning in application.warnings(registry):
        typer.echo(f"warning: {warning}", err=True)
