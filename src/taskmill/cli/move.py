"""``taskmill move``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taskmill.cli import options
from taskmill.cli.root import OPERATION, app, failed, wrong

if TYPE_CHECKING:
    from taskmill.client.blocking import Client

LOOK: Final = 0.2  # seconds between two looks
WIDTH: Final = 30  # characters of the bar
AWAY: Final = 60.0  # seconds for a server that does not answer: it switches, or is started again


@app.command(rich_help_panel=OPERATION)
def move(
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="`postgresql://…`, `sqlite:FILE`, or `${env:NAME}` of the server's environment.",
        ),
    ] = "",
    break_off: Annotated[
        bool, typer.Option("--break-off", help="End an unfinished move; the tasks stay.")
    ] = False,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for tasks that run, before the switch.")
    ] = 20.0,
    url: options.Url = options.SERVER,
    token: options.Token = "",
    as_json: options.Json = False,
) -> None:
    """Move all tasks of a running server to another database, while it serves.

    Ctrl-C ends this command and not the move; the same command shows again how far it is. Should the server be killed,
    start it, and give the command again: it goes on where it stood.

    Example: `taskmill move --to '${env:DATABASE_URL}'`
    """
    if bool(to) == break_off:
        wrong("give either --to URL or --break-off")
    from taskmill.client.blocking import Client  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.client.errors import AddressError, ServerAway  # noqa: PLC0415

    try:
        client = Client(url, token=token, retry_for=AWAY)
    except AddressError:
        wrong(f"`{url}` is no address of a server: write --url http://HOST:PORT")
    try:
        if break_off:
            _ask(client, "DELETE")
            typer.echo("broken off: all tasks are where they were")
            return
        _follow(client, to, patience, as_json=as_json)
    except ServerAway as error:
        failed(f"no server answers at {error.url} ({error.reason}): start it, and give this command again")


def _follow(client: Client, to: str, patience: float, *, as_json: bool) -> None:
    """Begin the move, and show it until it is done."""
    import msgspec  # noqa: PLC0415 - slow to import

    if _ask(client, "GET")["state"] not in ("copying", "following", "draining", "switching"):
        _ask(client, "POST", {"to": to, "patience": patience})
    while (progress := _ask(client, "GET"))["state"] not in ("done", "failed", "unfinished", "none"):
        if not as_json:
            typer.echo(f"\r{_bar(progress)}", err=True, nl=False)
        time.sleep(LOOK)
    if not as_json:
        typer.echo(f"\r{_bar(progress)}", err=True)
    if progress["state"] != "done":
        why = progress["error"] or "the server was started again"
        failed(f"the move has stopped: {why}. All tasks are where they were; give the command again to go on")
    if as_json:
        typer.echo(msgspec.json.encode(progress).decode())
        return
    typer.echo(f"All tasks are in {progress['to']} now; nobody was served for {progress['held']:.2f} s.")
    typer.echo(f"Write this in place of the entry in _index.yaml:\n\n{progress['entry']}")


def _bar(progress: dict[str, Any]) -> str:
    share = min(1.0, progress["copied"] / progress["total"]) if progress["total"] else 0.0
    if progress["state"] == "done":
        share = 1.0
    bar = "#" * int(WIDTH * share)
    return f"[{bar:<{WIDTH}}] {progress['copied']:,} of {progress['total']:,} rows, {progress['state']:<10}"


def _ask(client: Client, method: str, body: object = None) -> dict[str, Any]:
    answer = client.request(method, "move", body=body)
    value: dict[str, Any] = answer.json()
    if answer.status >= 400:
        failed(str(value.get("detail", f"the server answered with status {answer.status}")))
    return value
