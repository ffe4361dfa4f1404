"""The command itself, and what its subcommands share."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from taskmill import __version__

app = typer.Typer(
    name="taskmill",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="A durable task queue behind a REST API. `taskmill run` starts it; `taskmill COMMAND --help` tells more.",
)

APPLICATION = "An application"
TASKS = "Tasks, over HTTP"
OPERATION = "Operation, over HTTP"


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"taskmill {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()


def wrong(message: str) -> NoReturn:
    """End for wrong usage: exit code 2."""
    typer.echo(message, err=True)
    sys.exit(2)


def failed(message: str) -> NoReturn:
    """End for what failed while running: exit code 1."""
    typer.echo(f"taskmill: {message}", err=True)
    sys.exit(1)
