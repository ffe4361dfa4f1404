"""``taskmill openapi``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.application import Directory, Overrides, read
from taskmill.cli.root import APPLICATION, app, wrong


@app.command(rich_help_panel=APPLICATION)
def openapi(
    directory: Directory = Path(),
    override: Overrides = [],  # noqa: B006 - typer never changes it
    server: Annotated[
        str,
        typer.Option(metavar="ENTRY", help="Which server, where there are several, such as `app:gateway`."),
    ] = "",
) -> None:
    """Print an application's OpenAPI document, as `/openapi.json` has it, and start nothing.

    Example: `taskmill openapi shop > openapi.json`
    """
    import msgspec  # noqa: PLC0415 - slow to import, and not for every command

    from taskmill.openapi import NoServer, describe_application  # noqa: PLC0415
    from taskmill.process.source import SourceError  # noqa: PLC0415

    try:
        document = describe_application(read(directory, override), server or None)
    except (NoServer, SourceError) as error:
        wrong(str(error))
    typer.echo(msgspec.json.format(msgspec.json.encode(document)))
