"""``taskmill check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskmill.cli import data
from taskmill.cli.application import Directory, Overrides, read
from taskmill.cli.root import APPLICATION, app, failed

if TYPE_CHECKING:
    from taskmill.registry import Registry


@app.command(rich_help_panel=APPLICATION)
def check(
    directory: Directory = Path(),
    override: Overrides = [],  # noqa: B006 - typer never changes it
    queued: Annotated[
        bool, typer.Option("--queued", help="Look whether the tasks that wait would still run.")
    ] = False,
    data_dir: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Of --queued: where databases are kept.")
    ] = data.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Of --queued: print JSON, for programs.")] = False,
) -> None:
    """Load and validate an application, list its entries in start order, start nothing.

    Every mistake is reported at once, with its file, line, entry, field and the nearest right name. Exits
    with 2 if there is one.

    With `--queued` it looks into the database instead, also while a server runs, and tells which waiting tasks this
    application would not run: they have no action in it, or their data is not what it takes. Exits with 1 if there
    are such.

    Example: `taskmill check shop`
    """
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not for every command
    from rich.table import Table  # noqa: PLC0415

    from taskmill import application  # noqa: PLC0415

    registry = read(directory, override)
    if queued:
        _check_queued(registry, data_dir, as_json=as_json)
        return
    data.check_encrypted(registry)
    table = Table("Step", "Entry", "Kind", "After", title=str(registry.directory), title_justify="left")
    for step, wave in enumerate(registry.start_order(), 1):
        for entry in wave:
            after = ", ".join(sorted(registry.dependencies[entry.id]))
            table.add_row(str(step), entry.id, entry.kind, after)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    for warning in application.warnings(registry):
        typer.echo(f"warning: {warning}", err=True)


def _check_queued(registry: Registry, data_dir: Path, *, as_json: bool) -> None:
    import msgspec  # noqa: PLC0415 - slow to import, and not for every command

    from taskmill.sql import DatabaseError  # noqa: PLC0415
    from taskmill.sql.aside import open_aside  # noqa: PLC0415
    from taskmill.tasks.view.gate import look  # noqa: PLC0415

    catalog = data.catalog_of(registry)
    try:
        with open_aside(data.database_of(registry, data_dir), seconds=60) as aside:
            gate = look(aside, catalog, data.keyring_of(registry))
    except DatabaseError as error:
        failed(str(error))
    if as_json:
        typer.echo(msgspec.json.encode(gate))
    else:
        bad = sum(trouble.count for trouble in gate.troubles)
        upgraded = f", {gate.upgraded:,} once `upgrade` has mended them" if gate.upgraded else ""
        typer.echo(f"{gate.waiting:,} tasks wait; {gate.waiting - bad:,} of them would run{upgraded}")
        for trouble in gate.troubles:
            typer.echo(
                f"{trouble.count:,} of action {trouble.action!r}: {trouble.why}\n  {' '.join(trouble.first)}"
            )
    if gate.troubles:
        sys.exit(1)
