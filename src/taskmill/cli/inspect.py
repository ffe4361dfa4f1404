"""``taskmill list`` and ``taskmill show``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from taskmill.cli import options, show
from taskmill.cli.root import TASKS, app


@app.command("list", rich_help_panel=TASKS)
def list_(
    status: options.Status = "",
    action: options.Action = "",
    queue: options.Queue = "",
    key: options.Key = "",
    tag: options.Tag = "",
    created_after: options.After = "",
    created_before: options.Before = "",
    where: options.Where = [],  # noqa: B006 - typer never changes it
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    cursor: Annotated[str, typer.Option(help="Go on where an earlier list ended.")] = "",
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """List tasks, newest first.

    Example: `taskmill list --status failed --action send-mail --limit 50`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    query = options.given(
        status=status, action=action, queue=queue, key=key, tag=tag, created_after=created_after,
        created_before=created_before, limit=limit, cursor=cursor,
        **options.of_data(where),
    )  # fmt: skip
    answer = Api(url, token).get("tasks", **query)
    if as_json:
        typer.echo(answer.text)
        return
    columns = ("Id", "Action", "Status", "Queue", "Attempt", "Created", "Ended as")
    show.table(columns, [_row(task) for task in answer.value["tasks"]])
    if answer.value["next"]:
        typer.echo(f"There may be more: --cursor {answer.value['next']}", err=True)


@app.command("show", rich_help_panel=TASKS)
def show_(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The task's id.")],
    why: Annotated[bool, typer.Option("--why", help="Show what it waits for.")] = False,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Show a task with its data, result and attempts; or what it waits for.

    Example: `taskmill show 0197a3c4-5b6e-7d80-9a1b-2c3d4e5f6071 --why`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    answer = Api(url, token).get("tasks", id_, *(["why"] if why else []))
    if as_json:
        typer.echo(answer.text)
    else:
        tracebacks = _tracebacks(answer.value)
        show.fields(answer.value)
        for line in tracebacks[-1].splitlines() if tracebacks else ():
            typer.echo(show.plain(line))


def _row(task: dict[str, Any]) -> list[object]:
    error = task["error"]
    ended = f"{error['type']}: {error['message']}" if error else task["result"]
    attempt = f"{task['attempt']}/{task['max_attempts']}"
    return [task["id"], task["action"], task["status"], task["queue"], attempt, task["created_at"], ended]


def _tracebacks(task: dict[str, Any]) -> list[str]:
    """Take the tracebacks out of a task's attempts: they are read apart, and as the lines that they are."""
    errors = [attempt["error"] for attempt in task.get("attempts", []) if attempt["error"]]
    return [error.pop("traceback") for error in errors if error.get("traceback")]
