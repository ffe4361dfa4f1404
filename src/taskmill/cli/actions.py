"""``taskmill actions``."""

from __future__ import annotations

import typer

from taskmill.cli import options, show
from taskmill.cli.root import TASKS, app


@app.command(rich_help_panel=TASKS)
def actions(
    url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """List what can be submitted: with `--json` also the schemas of data and result.

    Example: `taskmill actions`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).get("actions")
    if as_json:
        typer.echo(answer.text)
        return
    rows = []
    for action in answer.value["actions"]:
        declared = action["options"]
        about = action["description"].partition("\n")[0] or None
        timeout = show.seconds(declared["timeout"])
        rows.append(
            [action["name"], declared["runs"], declared["queue"], declared["max_attempts"], timeout, about]
        )
    show.table(("Action", "Runs", "Queue", "Attempts", "Timeout", "What it does"), rows)
