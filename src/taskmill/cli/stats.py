"""``taskmill stats``."""

from __future__ import annotations

from typing import Any

import typer

from taskmill.cli import options, show
from taskmill.cli.root import OPERATION, app

_HEADS = ("Queue", "Queued", "Running", "Tasks/s", "Completed", "Failed", "Retried", "Waits p50", "p95", "Runs p50",
          "p95")  # fmt: skip


@app.command(rich_help_panel=OPERATION)
def stats(
    url: options.Url = options.SERVER, token: options.Token = "", as_json: options.Json = False
) -> None:
    """Show what waits and runs now, and how many tasks ended in the last hour and how long they took.

    Example: `taskmill stats --json`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).get("stats")
    if as_json:
        typer.echo(answer.text)
        return
    counts = answer.value["counts"]
    typer.echo("  ".join(f"{count} {status}" for status, count in counts.items() if count) or "no tasks")
    show.table(_HEADS, [_row(queue) for queue in answer.value["queues"]])


def _row(queue: dict[str, Any]) -> list[Any]:
    times = [
        show.seconds(times[part]) if (times := queue[which]) else None
        for which in ("waiting", "running")
        for part in ("p50", "p95")
    ]
    depth = queue["depth"]
    numbers = [queue[name] for name in ("throughput", "completed", "failed", "retried")]
    return [queue["name"], depth["queued"], depth["running"], *numbers, *times]
