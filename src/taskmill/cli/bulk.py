"""``taskmill cancel``, ``retry`` and ``prune``: what is done to many tasks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from taskmill.cli import options, show
from taskmill.cli.root import OPERATION, TASKS, app, failed, wrong

if TYPE_CHECKING:
    from taskmill.cli.client import Api

STEP = 1_000  # tasks in one request, so that there is progress to show

_Ids = Annotated[list[str], typer.Argument(metavar="[ID]...", help="The tasks' ids; or give filters.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many it would be.")]


@app.command(rich_help_panel=TASKS)
def cancel(
    ids: _Ids = [],  # noqa: B006 - typer reads the default and never changes it
    status: options.Status = "",
    action: options.Action = "",
    queue: options.Queue = "",
    key: options.Key = "",
    tag: options.Tag = "",
    created_after: options.After = "",
    created_before: options.Before = "",
    where: options.Where = [],  # noqa: B006 - typer never changes it
    dry_run: _DryRun = False,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Cancel tasks that have not ended: those with the ids, or all that pass the filters. What runs is stopped.

    Example: `taskmill cancel --queue mail --status queued`
    """
    filters = options.given(
        status=status, action=action, queue=queue, key=key, tag=tag, created_after=created_after,
        created_before=created_before,
    ) | options.of_data(where)  # fmt: skip
    _change("cancel", "cancelled", ids, filters, dry_run, None, url, token, as_json)


@app.command(rich_help_panel=TASKS)
def retry(
    ids: _Ids = [],  # noqa: B006 - typer reads the default and never changes it
    status: options.Status = "",
    action: options.Action = "",
    queue: options.Queue = "",
    key: options.Key = "",
    tag: options.Tag = "",
    created_after: options.After = "",
    created_before: options.Before = "",
    where: options.Where = [],  # noqa: B006 - typer never changes it
    canary: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="First so many; the others only if none fails as before."),
    ] = None,
    dry_run: _DryRun = False,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Run failed or cancelled tasks again: those with the ids, or all that pass the filters.

    Example: `taskmill retry --status failed --action send-mail --canary 5`
    """
    filters = options.given(
        status=status, action=action, queue=queue, key=key, tag=tag, created_after=created_after,
        created_before=created_before,
    ) | options.of_data(where)  # fmt: skip
    if canary is not None and ids:
        wrong("--canary goes with filters, not with ids")
    _change("retry", "to be run again", ids, filters, dry_run, canary, url, token, as_json)


@app.command(rich_help_panel=OPERATION)
def prune(
    older_than: Annotated[
        str, typer.Option(metavar="DURATION", help="Those that ended so long ago, such as `12h` or `7d`.")
    ] = "",
    status: Annotated[str, typer.Option(help="`completed`, `failed` or `cancelled`; all by default.")] = "",
    where: options.Where = [],  # noqa: B006 - typer never changes it
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Remove tasks that ended long ago: by the declared rules, or by an age.

    Example: `taskmill prune --older-than 7d --status completed`
    """
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.units import parse_duration  # noqa: PLC0415

    try:
        age = parse_duration(older_than) if older_than else None
    except ValueError as error:
        wrong(f"--older-than: {error}")
    body = options.given(older_than=age, status=status) | options.of_data(where)
    api, count, more = Api(url, token), 0, True
    while more:
        answer = api.post("tasks", "prune", body=body).value
        count += answer["count"]
        more = bool(answer.get("more"))
    typer.echo(f'{{"count":{count}}}' if as_json else f"{count:,} tasks removed")


def _change(
    verb: str,
    done: str,
    ids: list[str],
    filters: dict[str, Any],
    dry_run: bool,
    canary: int | None,
    url: str,
    token: str,
    as_json: bool,
) -> None:
    from taskmill.cli.client import Api  # noqa: PLC0415 - slow to import, and not for every command

    if bool(ids) == bool(filters):
        wrong(
            f"say which tasks: either ids, or filters such as --status and --action (taskmill {verb} --help)"
        )
    api = Api(url, token)
    if ids:
        _change_each(api, verb, ids, as_json)
        return
    total = api.post("tasks", verb, body={**filters, "dry_run": True}).value["count"]
    if dry_run:
        typer.echo(f'{{"count":{total}}}' if as_json else f"{total:,} tasks would be {done}")
        return
    count, cursor = 0, None
    if canary is not None:
        answer = api.post("tasks", verb, body={**filters, "canary": canary, "limit": canary})
        count, cursor = answer.value["count"], answer.value["next"]
        if answer.value["stopped"]:
            _stopped(answer.text, answer.value, as_json)
    if canary is None or cursor is not None:
        count = _change_all(api, verb, filters, cursor, count, total, visible=not as_json)
    typer.echo(f'{{"count":{count}}}' if as_json else f"{count:,} tasks {done}")


def _change_each(api: Api, verb: str, ids: list[str], as_json: bool) -> None:
    from taskmill.cli.client import refusal  # noqa: PLC0415

    refused = []
    for id_ in ids:
        answer = api.try_post("tasks", id_, verb)
        if answer.status >= 400:
            refused.append(f"{id_}: {refusal(answer)}")
        else:
            typer.echo(answer.text if as_json else f"{id_}  {answer.value['status']}")
    if refused:
        failed("\n".join(refused))


def _change_all(
    api: Api, verb: str, filters: dict[str, Any], cursor: str | None, count: int, total: int, *, visible: bool
) -> int:
    """Change all that pass the filters, from a cursor on; return how many those are together with ``count``."""
    with show.progress(total, visible=visible) as advance:
        advance(count)
        while True:
            body = {**filters, "limit": STEP, **({} if cursor is None else {"cursor": cursor})}
            answer = api.post("tasks", verb, body=body).value
            count, cursor = count + answer["count"], answer["next"]
            advance(count)
            if cursor is None:
                return count


def _stopped(text: str, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(text)
        raise typer.Exit(1)
    canary = answer["canary"]
    error = canary["error"]
    reason = (
        f"{error['type']}: {error['message']}" if error else f"{canary['waiting']} have not ended in time"
    )
    failed(
        f"stopped after {answer['count']} tasks, of which {canary['completed']} completed and "
        f"{canary['failed']} failed ({reason}); the others were left as they are"
    )
