"""``taskmill schedules``."""

from __future__ import annotations

from typing import Annotated

import typer

from taskmill.cli import completion, options, show
from taskmill.cli.root import OPERATION, app

group = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
app.add_typer(group, name="schedules", rich_help_panel=OPERATION)

_Name = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="The schedule's name.", autocompletion=completion.schedules)
]


@group.callback()
def schedules(
    context: typer.Context,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """List the schedules; or run, pause or resume one.

    Example: `taskmill schedules`, and then `taskmill schedules run nightly`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    if context.invoked_subcommand is not None:
        return
    api, cursor, found = Api(url, token), None, []
    while True:
        answer = api.get("schedules", cursor=cursor, limit=1000)
        found += answer.value["schedules"]
        cursor = answer.value.get("next")
        if as_json:
            typer.echo(answer.text)
        if cursor is None:
            break
    if not as_json:
        rows = [
            [one["name"], one.get("cron") or f"every {show.seconds(one.get('every'))}", one["timezone"],
             one["action"], one["next_run_at"], one["last_task_id"], one["paused"]]
            for one in found
        ]  # fmt: skip
        show.table(("Schedule", "When", "Zone", "Action", "Next run", "Last task", "Paused"), rows)


@group.command()
def run(
    name: _Name, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Submit a schedule's task now.

    Example: `taskmill schedules run nightly`
    """
    _post(name, "run", url, token, as_json)


@group.command()
def pause(
    name: _Name, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Let a schedule's times pass without a task.

    Example: `taskmill schedules pause nightly`
    """
    _post(name, "pause", url, token, as_json)


@group.command()
def resume(
    name: _Name, url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Run a schedule again, from its next time on.

    Example: `taskmill schedules resume nightly`
    """
    _post(name, "resume", url, token, as_json)


def _post(name: str, verb: str, url: str, token: str, as_json: bool) -> None:
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).post("schedules", name, verb)
    if as_json:
        typer.echo(answer.text)
    else:
        show.fields(answer.value)
