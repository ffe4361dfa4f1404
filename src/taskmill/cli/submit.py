"""``taskmill submit``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from taskmill.cli import completion, options
from taskmill.cli.root import TASKS, app, wrong


@app.command(rich_help_panel=TASKS)
def submit(
    action: Annotated[
        str, typer.Argument(metavar="ACTION", help="The action's name.", autocompletion=completion.actions)
    ],
    data: Annotated[str, typer.Argument(metavar="[DATA-JSON]", help="Its data, as JSON.")] = "",
    queue: Annotated[
        str, typer.Option(help="Another queue than the action's own.", autocompletion=completion.queues)
    ] = "",
    priority: Annotated[int | None, typer.Option(min=0, max=9, help="0 to 9; higher goes first.")] = None,
    delay: Annotated[str, typer.Option(metavar="DURATION", help="Run it in `90s`, `5m`, `2h`.")] = "",
    run_at: Annotated[str, typer.Option(metavar="TIME", help="Or at `2026-01-02T03:04:05Z`.")] = "",
    key: Annotated[str, typer.Option(help="Waiting tasks with one key are one task.")] = "",
    tag: Annotated[list[str], typer.Option(help="A tag. May be repeated.")] = [],  # noqa: B006 - never changed
    max_attempts: Annotated[int | None, typer.Option(min=1, help="How often it may be started.")] = None,
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="How long an attempt may take.")] = "",
    expires_in: Annotated[
        str, typer.Option(metavar="DURATION", help="It fails if not started by then.")
    ] = "",
    hold: Annotated[
        str, typer.Option(metavar="DURATION", help="Store it; it runs once it is released, within so long.")
    ] = "",
    idempotency_key: Annotated[str, typer.Option(help="Sent again within a day, it is the same task.")] = "",
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Submit a task, and print its id.

    Example: `taskmill submit uppercase '{"text": "hello"}' --priority 5 --tag demo`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    body: dict[str, Any] = {"action": action}
    if data:
        try:
            body["data"] = json.loads(data)
        except ValueError as error:
            wrong(f'DATA-JSON is not JSON ({error}): write it as \'{{"text": "hello"}}\'')
    body |= options.given(queue=queue, priority=priority, run_at=run_at, key=key, max_attempts=max_attempts)
    body |= options.given(
        delay=_seconds("delay", delay),
        timeout=_seconds("timeout", timeout),
        expires_in=_seconds("expires-in", expires_in),
        hold=_seconds("hold", hold),
    )
    if tag:
        body["tags"] = list(tag)
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    answer = Api(url, token).post("tasks", body=body, headers=headers)
    if as_json:
        typer.echo(answer.text)
        return
    note = "  (it was there already)" if answer.value.get("duplicate") else ""
    typer.echo(f"{answer.value['id']}  {answer.value['status']}{note}")


def _seconds(name: str, text: str) -> float | None:
    from taskmill.units import parse_duration  # noqa: PLC0415

    if not text:
        return None
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    except ValueError as error:
        wrong(f"--{name}: {error}")
