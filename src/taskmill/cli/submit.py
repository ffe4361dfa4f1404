"""``taskmill submit``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from taskmill.cli import completion, options
from taskmill.cli.root import TASKS, app, wrong

_FILES = "Many at once"
_Action = Annotated[
    str, typer.Argument(metavar="ACTION", help="The action's name.", autocompletion=completion.actions)
]
_File = Annotated[
    str, typer.Option(metavar="FILE", help="A file of tasks, one a line, or `-`.", rich_help_panel=_FILES)
]
_Errors = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where lines are named that were refused.", rich_help_panel=_FILES),
]
_Keys = Annotated[
    bool,
    typer.Option(
        help="Give each line an idempotency key of its file, number and text.", rich_help_panel=_FILES
    ),
]
_ExpiresIn = Annotated[str, typer.Option(metavar="DURATION", help="It fails if not started by then.")]
_Hold = Annotated[
    str, typer.Option(metavar="DURATION", help="Store it; it runs once it is released, within so long.")
]
_After = Annotated[
    list[str], typer.Option(metavar="ID", help="Run it once this task has completed. May be repeated.")
]
_OnFailure = Annotated[
    str, typer.Option(metavar="fail|run", help="Where one of those fails: fail, too, or run all the same.")
]

_Callback = Annotated[str, typer.Option(metavar="URL", help="A URL that is told how it has ended.")]


@app.command(rich_help_panel=TASKS)
def submit(
    action: _Action = "",
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
    expires_in: _ExpiresIn = "",
    hold: _Hold = "",
    after: _After = [],  # noqa: B006 - never changed
    on_failure: _OnFailure = "",
    callback: _Callback = "",
    idempotency_key: Annotated[str, typer.Option(help="Sent again within a day, it is the same task.")] = "",
    file: _File = "",
    errors: _Errors = None,
    keys: _Keys = True,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Submit a task, and print its id; or a file of tasks, each line as `POST /tasks` takes it.

    A file that was not submitted to its end can be submitted again within a day: what is stored already is not
    stored twice, also where lines have been mended since.

    Example: `taskmill submit uppercase '{"text": "hello"}' --priority 5 --tag demo`
    or `taskmill submit --file tasks.ndjson --errors refused.ndjson`
    """
    if file:
        if action or data:
            wrong("--file has the actions in its lines: leave ACTION and DATA-JSON out")
        from taskmill.cli.submit_file import submit_file  # noqa: PLC0415

        submit_file(file, errors, keys, idempotency_key, url, token, as_json=as_json)
        return
    if not action:
        wrong("name an ACTION, or a file of tasks with --file")
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    body = _body(
        action, data, tag, queue=queue, priority=priority, run_at=run_at, key=key, max_attempts=max_attempts,
        delay=_seconds("delay", delay), timeout=_seconds("timeout", timeout),
        expires_in=_seconds("expires-in", expires_in), hold=_seconds("hold", hold),
        after=after or None, on_failure=on_failure or None, callback=callback or None,
    )  # fmt: skip
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    answer = Api(url, token).post("tasks", body=body, headers=headers)
    if as_json:
        typer.echo(answer.text)
        return
    note = "  (it was there already)" if answer.value.get("duplicate") else ""
    typer.echo(f"{answer.value['id']}  {answer.value['status']}{note}")


def _body(action: str, data: str, tags: list[str], **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"action": action, **options.given(**fields)}
    if data:
        try:
            body["data"] = json.loads(data)
        except ValueError as error:
            wrong(f'DATA-JSON is not JSON ({error}): write it as \'{{"text": "hello"}}\'')
    if tags:
        body["tags"] = list(tags)
    return body


def _seconds(name: str, text: str) -> float | None:
    from taskmill.units import parse_duration  # noqa: PLC0415

    if not text:
        return None
    try:
        return float(text) if text.replace(".", "", 1).isdigit() else parse_duration(text)
    except ValueError as error:
        wrong(f"--{name}: {error}")
