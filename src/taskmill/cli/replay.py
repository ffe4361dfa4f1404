"""``taskmill replay``."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from taskmill.cli import data, options
from taskmill.cli.application import Overrides, read
from taskmill.cli.root import APPLICATION, TASKS, app, wrong


@app.command(rich_help_panel=TASKS)
def capsule(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    url: options.Url = options.SERVER,
    token: options.Token = "",
    with_secrets: Annotated[
        bool,
        typer.Option("--with-secrets", help="With the fields that `redact` hides; takes the scope `admin`."),
    ] = False,
) -> None:
    """Print all that it takes to run a task again at a desk: see `taskmill replay`.

    Example: `taskmill capsule 0197a3c4-5b6e-7d80-9a1b-2c3d4e5f6071 > failed.json`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    typer.echo(Api(url, token).get("tasks", id_, "capsule", secrets="true" if with_secrets else None).text)


@app.command(rich_help_panel=APPLICATION)
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `taskmill capsule ID` printed.")],
    directory: Annotated[Path, typer.Option("--app", metavar="DIR", help="The application.")] = Path(),
    pdb: Annotated[bool, typer.Option("--pdb", help="Go into the debugger where it fails.")] = False,
    override: Overrides = [],  # noqa: B006 - typer never changes it
) -> None:
    """Run a task's action in this process, with the data that the task had. No server takes part; nothing is stored.

    What the action does to the world it does again: have it point at test systems. Exits with 1 where it fails.

    Example: `taskmill replay failed.json --pdb`
    """
    from taskmill.tasks.work.replay import Replay, UnknownAction, read_capsule  # noqa: PLC0415 - slow to import

    catalog = data.catalog_of(read(directory, override))
    try:
        task = read_capsule(file.read_bytes())
        found = Replay(catalog, task)
    except (OSError, ValueError, UnknownAction) as error:
        wrong(f"{file}: {error}")
    if found.note:
        typer.echo(found.note, err=True)
    try:
        result: Any = json.loads(found.run())
    except Exception as error:  # whatever the action raises: it is what one wants to see
        traceback.print_exception(error)
        if pdb:
            import pdb as debugger  # noqa: PLC0415 - that is what is asked for

            debugger.post_mortem(error.__traceback__)
        sys.exit(1)
    typer.echo(json.dumps(result, ensure_ascii=False))
