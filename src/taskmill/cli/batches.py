"""``taskmill batches``."""

from __future__ import annotations

from typing import Annotated

import typer

from taskmill.cli import options, show
from taskmill.cli.root import OPERATION, app

group = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
app.add_typer(group, name="batches", rich_help_panel=OPERATION)

_Id = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id.")]


@group.callback()
def batches(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")] = 20,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """List the batches, newest first; or show, close or cancel one.

    Example: `taskmill batches`, and then `taskmill batches show 019a…`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    if context.invoked_subcommand is not None:
        return
    answer = Api(url, token).get("batches", limit=limit)
    if as_json:
        typer.echo(answer.text)
        return
    rows = [
        [one["id"], one["name"], one["status"], f"{one['progress']['done']} of {one['progress']['total']}",
         one["counts"]["failed"], one["counts"]["cancelled"], one["created_at"]]
        for one in answer.value["batches"]
    ]  # fmt: skip
    show.table(("Batch", "Name", "Status", "Ended", "Failed", "Cancelled", "Created"), rows)


@group.command(name="show")
def show_batch(
    batch: _Id, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Show how far a batch is, and which of its tasks failed.

    Example: `taskmill batches show 019a…`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).get("batches", batch)
    if as_json:
        typer.echo(answer.text)
    else:
        show.fields(answer.value)


@group.command()
def close(
    batch: _Id, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Have an open batch take no more tasks.

    Example: `taskmill batches close 019a…`
    """
    _post(batch, "close", url, token, as_json)


@group.command()
def cancel(
    batch: _Id, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Cancel all tasks of a batch that have not ended, and the one that would run at its end.

    Example: `taskmill batches cancel 019a…`
    """
    _post(batch, "cancel", url, token, as_json)


def _post(batch: str, verb: str, url: str, token: str, as_json: bool) -> None:
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).post("batches", batch, verb)
    if as_json:
        typer.echo(answer.text)
    else:
        show.fields(answer.value)
