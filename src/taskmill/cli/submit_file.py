"""``taskmill submit --file``: a file of tasks, line by line, with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from taskmill.cli.root import failed, wrong
from taskmill.client import Client
from taskmill.client.errors import AddressError, ClientError
from taskmill.client.lines import Loaded, Refusal, load

STDIN = "-"


def submit_file(
    file: str, errors: Path | None, keys: bool, name: str, url: str, token: str, *, as_json: bool
) -> None:
    """Submit the lines of a file; exit with 1 where one was refused, or the server is away.

    ``keys`` gives each line an idempotency key, made of ``name``, or else of the file's own path.
    """
    name = name or ("" if file == STDIN else str(Path(file).resolve()))
    began = time.monotonic()
    count = replayed = refused = 0
    with ExitStack() as opened:
        source, size = _open(file, opened)
        report = _reporter(file, errors, opened)
        try:
            client = opened.enter_context(Client(url, token=token))
        except AddressError:
            wrong(f"`{url}` is no address of a server: write --url http://HOST:PORT")
        shown = opened.enter_context(_progress(size))
        try:
            for loaded in load(client, source, name if keys and name else None):
                count, replayed = count + loaded.stored, replayed + loaded.replayed
                for one in loaded.refused:
                    refused += 1
                    report(one)
                shown(loaded, count)
        except (ClientError, KeyboardInterrupt) as error:
            opened.close()
            _broken_off(error, count, again=bool(keys and name))
    seconds = time.monotonic() - began
    if as_json:
        typer.echo(msgspec.json.encode({"count": count, "replayed": replayed, "errors": refused}).decode())
    else:
        there = f"; {replayed:,} of them were there already" if replayed else ""
        wrongs = f"; {refused:,} were refused" if refused else ""
        typer.echo(f"{count:,} tasks in {seconds:.1f} s, {count / seconds:,.0f} a second{there}{wrongs}")
    if refused:
        sys.exit(1)


def _open(file: str, opened: ExitStack) -> tuple[BinaryIO, int | None]:
    """Return the lines, and how many bytes they are where that is known."""
    if file == STDIN:
        return sys.stdin.buffer, None
    try:
        source = Path(file).open("rb")  # noqa: SIM115 - the stack closes it
    except OSError as error:
        wrong(f"{file} cannot be read: {error.strerror}")
    opened.callback(source.close)
    return source, Path(file).stat().st_size or None


def _reporter(file: str, errors: Path | None, opened: ExitStack) -> Callable[[Refusal], None]:
    """Return what takes note of a line that was refused: in a file of lines, or on standard error."""
    if errors is None:
        return lambda one: typer.echo(f"{file}:{one.line}: {one.error}", err=True)
    try:
        target: TextIO = opened.enter_context(errors.open("w", encoding="utf-8"))
    except OSError as error:
        wrong(f"{errors} cannot be written: {error.strerror}")

    def note(one: Refusal) -> None:
        target.write(msgspec.json.encode({"line": one.line, "error": one.error}).decode() + "\n")
        target.flush()

    return note


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[Loaded, int], None]]:
    """Show a bar where somebody looks."""
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[count]:,} tasks"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=size, count=0)
        yield lambda loaded, count: progress.update(bar, advance=loaded.size, count=count)


def _broken_off(error: BaseException, count: int, *, again: bool) -> None:
    """End, and say what is stored."""
    why = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
    mend = (
        "run the same command again: what is stored is not stored twice"
        if again
        else "no keys were sent, so what comes again is stored again"
    )
    failed(f"{why}\n{count:,} tasks are stored, and perhaps some more; {mend}")
