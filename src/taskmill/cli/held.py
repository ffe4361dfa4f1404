"""``taskmill release`` and ``taskmill drop``."""

from __future__ import annotations

from typing import Annotated

import typer

from taskmill.cli import options
from taskmill.cli.root import TASKS, app

_Id = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]


@app.command(rich_help_panel=TASKS)
def release(
    id_: _Id, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Let a task run that was submitted with `--hold`.

    Example: `taskmill release 0197a3c4-5b6e-7d80-9a1b-2c3d4e5f6071`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).post("tasks", id_, "release")
    typer.echo(answer.text if as_json else f"{answer.value['id']}  {answer.value['status']}")


@app.command(rich_help_panel=TASKS)
def drop(
    id_: _Id, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Take a task back that was submitted with `--hold`, and is not released.

    Example: `taskmill drop 0197a3c4-5b6e-7d80-9a1b-2c3d4e5f6071`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).delete("tasks", id_)
    typer.echo(answer.text if as_json else f"{answer.value['id']}  {answer.value['status']}")
