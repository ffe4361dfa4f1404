"""What the commands on an application share: its directory, its overrides, and reading it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taskmill.cli.root import wrong

if TYPE_CHECKING:
    from taskmill.registry import Registry

Directory = Annotated[
    Path,
    typer.Argument(help="The application: where its `_index.yaml` is. Without one here, the built-in one."),
]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--override", "-o", metavar="NS:ENTRY:FIELD=VALUE",
        help="Set a field of an entry, such as `app:db:file=:memory:`. May be repeated.",
    ),
]  # fmt: skip


def read(directory: Path, overrides: list[str]) -> Registry:
    """Read and validate an application; where it has mistakes, print them all and exit with 2."""
    from taskmill import application  # noqa: PLC0415 - slow to import, and not for every command

    return read_by(lambda directory: application.read(directory, overrides), directory)


def read_by(reading: Callable[[Path], Registry], directory: Path) -> Registry:
    """Read an application in another way; where it has mistakes, print them all and exit with 2."""
    from taskmill import application  # noqa: PLC0415
    from taskmill.registry import RegistryError  # noqa: PLC0415

    if not directory.is_dir():
        wrong(f"{directory} is not a directory")
    try:
        return reading(application.find(directory))
    except RegistryError as error:
        count = len(error.problems)
        wrong(f"{error}\n{count} mistake{'s' if count > 1 else ''}; nothing was started")
