"""``taskmill nodes``."""

from __future__ import annotations

import typer

from taskmill.cli import options, show
from taskmill.cli.root import OPERATION, app


@app.command(rich_help_panel=OPERATION)
def nodes(
    url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """List the nodes that share the database: what each does, which leads, when it was heard of last.

    Example: `taskmill nodes --json`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).get("nodes")
    if as_json:
        typer.echo(answer.text)
        return
    rows = [
        [
            node["name"],
            node["version"],
            ", ".join(node["roles"]),
            "leads" if node["leader"] else None,
            node["consumers"],
            node["running"],
            node["started_at"],
            node["heartbeat_at"],
        ]
        for node in answer.value["nodes"]
    ]
    show.table(("Node", "Version", "Roles", "Lead", "Consumers", "Running", "Started", "Heard of"), rows)
