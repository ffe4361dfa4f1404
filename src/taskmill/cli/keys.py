"""``taskmill keys``: the API keys of a server, in a file beside its data."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli import options, show
from taskmill.cli.root import APPLICATION, app, failed, wrong

keys = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""API keys: make them, list them, replace them, withdraw them. A server that runs heeds it within a second.

    Example: `taskmill keys create "the shop" --scope submit --scope read`
    """,
)
app.add_typer(keys, name="keys", rich_help_panel=APPLICATION)


class ScopeName(StrEnum):
    """What a key may be given."""

    SUBMIT = "submit"
    READ = "read"
    OBSERVE = "observe"
    WORK = "work"
    ADMIN = "admin"


_Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The server's `--data`, where `keys.json` is.")
]
_File = Annotated[Path | None, typer.Option("--file", help="Another file than `keys.json` there.")]
_Prefix = Annotated[
    str, typer.Argument(metavar="PREFIX", help="The key's beginning; see `taskmill keys list`.")
]
DATA = Path("data")


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose it is, or what for.")],
    scope: Annotated[
        list[ScopeName],
        typer.Option(
            help="`submit` tasks; `read` them; `observe` them without their data and results; `work`: claim and end "
            "them; `admin`: all of it and the rest. May be repeated."
        ),
    ],
    queue: Annotated[
        list[str] | None, typer.Option(help="Only tasks of this queue. May be repeated.")
    ] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="Only tasks of this action. May be repeated.")
    ] = None,
    expires_in: Annotated[str, typer.Option(metavar="DURATION", help="Such as `90d`.")] = "",
    data: _Data = DATA,
    file: _File = None,
) -> None:
    """Make a key, and print it: this once, since only its hash is kept.

    Example: `taskmill keys create "the shop" --scope submit --scope read`
    """
    from taskmill.http.auth import key_file  # noqa: PLC0415 - slow to import, and not for every command

    lasts = _seconds(expires_in) if expires_in else None
    path = _path(data, file)
    try:
        key = key_file.create(
            path, name, [one.value for one in scope], queues=queue, actions=action, expires_in=lasts
        )
    except key_file.KeyFileError as error:
        failed(str(error))
    typer.echo(key)
    typer.echo(f"kept in {path} as its hash: it is shown this once", err=True)


@keys.command(name="list")
def list_keys(as_json: options.Json = False, data: _Data = DATA, file: _File = None) -> None:
    """List the keys: what each may, and how long it holds.

    Example: `taskmill keys list --data /var/lib/taskmill`
    """
    import msgspec  # noqa: PLC0415

    from taskmill.http.auth import key_file  # noqa: PLC0415

    try:
        found = key_file.read(_path(data, file))
    except key_file.KeyFileError as error:
        failed(str(error))
    if as_json:
        shown = [{**msgspec.to_builtins(key), "hash": None} for key in found]
        for one in shown:
            del one["hash"]
        typer.echo(msgspec.json.encode({"keys": shown, "count": len(shown)}).decode())
        return
    now = datetime.now(UTC)
    rows = [
        [key.prefix, key.name, " ".join(key.scopes), _limits(key.queues, key.actions), _state(key, now)]
        for key in found
    ]
    show.table(("Prefix", "Name", "Scopes", "Only", "State"), rows)


@keys.command()
def rotate(
    prefix: _Prefix,
    grace: Annotated[str, typer.Option(metavar="DURATION", help="For how long the old one holds on.")] = "1d",
    data: _Data = DATA,
    file: _File = None,
) -> None:
    """Make another key that may the same, and let the old one run out.

    Example: `taskmill keys rotate tm_3kf9x2aB --grace 7d`
    """
    from taskmill.http.auth import key_file  # noqa: PLC0415

    seconds = _seconds(grace)
    try:
        key = key_file.rotate(_path(data, file), prefix, seconds)
    except key_file.KeyFileError as error:
        failed(str(error))
    typer.echo(key)
    typer.echo(f"the old one holds for another {grace}", err=True)


@keys.command()
def revoke(prefix: _Prefix, data: _Data = DATA, file: _File = None) -> None:
    """Withdraw a key.

    Example: `taskmill keys revoke tm_3kf9x2aB`
    """
    from taskmill.http.auth import key_file  # noqa: PLC0415

    try:
        key = key_file.revoke(_path(data, file), prefix)
    except key_file.KeyFileError as error:
        failed(str(error))
    typer.echo(f"{key.prefix} ({show.plain(key.name)}) is withdrawn")


def _path(data: Path, file: Path | None) -> Path:
    return data / "keys.json" if file is None else file


def _seconds(text: str) -> float:
    from taskmill.units import parse_duration  # noqa: PLC0415

    try:
        return parse_duration(text)
    except ValueError as error:
        wrong(str(error))


def _limits(queues: list[str] | None, actions: list[str] | None) -> str | None:
    parts = [f"queue {name}" for name in queues or ()] + [f"action {name}" for name in actions or ()]
    return ", ".join(parts) or None


def _state(key: object, now: datetime) -> str:
    revoked, expires = getattr(key, "revoked_at", None), getattr(key, "expires_at", None)
    if revoked is not None:
        return f"withdrawn {revoked:%Y-%m-%d}"
    if expires is None:
        return "good"
    return f"ran out {expires:%Y-%m-%d %H:%M}Z" if expires <= now else f"until {expires:%Y-%m-%d %H:%M}Z"
