"""``taskmill queues``, ``pause`` and ``resume``."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from taskmill.cli import completion, options, show
from taskmill.cli.root import OPERATION, app

_Name = Annotated[
    str,
    typer.Argument(
        metavar="QUEUE", help="The queue's name; see `taskmill queues`.", autocompletion=completion.queues
    ),
]


@app.command(rich_help_panel=OPERATION)
def queues(
    url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """List the queues: how much waits, for how long, who works, who has paused them.

    Example: `taskmill queues --json`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).get("queues")
    if as_json:
        typer.echo(answer.text)
        return
    rows = []
    for queue in answer.value["queues"]:
        depth, paused = queue["depth"], queue["paused"]
        waiting = [depth["queued"], depth["scheduled"], queue["running"]]
        by = f"by {paused['by']} at {paused['at']}" if paused else None
        rows.append([queue["name"], *waiting, show.seconds(queue["oldest"]), queue["consumers"], by])
    show.table(("Queue", "Queued", "Scheduled", "Running", "Oldest", "Consumers", "Paused"), rows)


@app.command(rich_help_panel=OPERATION)
def pause(
    queue: _Name,
    by: Annotated[str, typer.Option(help="Who does it; the user of this shell by default.")] = "",
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Begin no more tasks of a queue, until it is resumed. What runs goes on to its end.

    Example: `taskmill pause mail`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).post("queues", queue, "pause", body={"by": by or _user()})
    typer.echo(answer.text if as_json else f"{queue} is paused; {answer.value['running']} tasks still run")


@app.command(rich_help_panel=OPERATION)
def resume(
    queue: _Name,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Begin tasks of a queue again.

    Example: `taskmill resume mail`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).post("queues", queue, "resume")
    typer.echo(answer.text if as_json else f"{queue} goes on; {answer.value['depth']['queued']} tasks wait")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "the command line"
