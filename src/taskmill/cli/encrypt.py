"""``taskmill encrypt``: keys that tasks are encrypted with, and what is stored written anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskmill.cli import data
from taskmill.cli.application import Directory, Overrides, read
from taskmill.cli.root import APPLICATION, app, failed, wrong

if TYPE_CHECKING:
    from taskmill.sql import Database
    from taskmill.tasks.sealing.keys import Keyring

encrypt = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Encryption of what tasks hold: make a key, encrypt again with another, decrypt.

    Example: `taskmill encrypt new-key 2026`
    """,
)
app.add_typer(encrypt, name="encrypt", rich_help_panel=APPLICATION)

_Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Where databases are kept.")]


@encrypt.command(name="new-key")
def new_key(
    id_: Annotated[str, typer.Argument(metavar="ID", help="What it is known by, such as the year.")],
) -> None:
    """Make a key, and print it as `encrypt` of the task.service takes it. It is kept nowhere else.

    Example: `taskmill encrypt new-key 2026`
    """
    from taskmill.tasks.sealing.keys import WrongKeys  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.tasks.sealing.keys import new_key as made  # noqa: PLC0415

    try:
        typer.echo(made(id_))
    except WrongKeys as error:
        wrong(str(error))


@encrypt.command()
def again(
    directory: Directory = Path(),
    data_dir: _Data = data.DEFAULT,
    override: Overrides = [],  # noqa: B006 - typer never changes it
) -> None:
    """Encrypt what is stored with the first key, whatever it was encrypted with, or if it was not.

    Of a file its server must be stopped; beside servers on PostgreSQL or MySQL it may run, once all of them have the
    key first. It goes some rows at a time, and may be broken off and begun anew.

    Example: `taskmill encrypt again shop`
    """
    _write_anew(directory, data_dir, override, encrypted=True)


@encrypt.command()
def off(
    directory: Directory = Path(),
    data_dir: _Data = data.DEFAULT,
    override: Overrides = [],  # noqa: B006 - typer never changes it
) -> None:
    """Decrypt what is stored, while every server is stopped; take `encrypt` out of the application afterwards.

    Example: `taskmill encrypt off shop`
    """
    _write_anew(directory, data_dir, override, encrypted=False)


def _write_anew(directory: Path, data_dir: Path, override: list[str], *, encrypted: bool) -> None:
    from taskmill.sql import DatabaseError  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.sql.rewriting import write_anew  # noqa: PLC0415

    registry = read(directory, override)
    keyring = data.keyring_of(registry)
    if keyring is None:
        wrong("the task.service declares no `encrypt`: give it the keys")
    try:
        database = data.database_of(registry, data_dir)
        count = asyncio.run(_again(database, keyring, encrypted=encrypted))
        write_anew(database)
    except DatabaseError as error:
        failed(str(error))
    how = f"encrypted with the key {keyring.first.id}" if encrypted else "decrypted"
    typer.echo(f"All is {how}: {count:,} values were written anew")


async def _again(database: Database, keyring: Keyring, *, encrypted: bool) -> int:
    from taskmill.tasks.api import apply_migrations  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.tasks.sealing.again import Again  # noqa: PLC0415
    from taskmill.tasks.sealing.guard import check  # noqa: PLC0415

    try:
        await database.start()
        await apply_migrations(database=database)
        await check(database, keyring)
        return await Again(database, keyring, encrypt=encrypted).run()
    finally:
        await database.stop()
