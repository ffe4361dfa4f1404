"""Answers as people read them. What comes from a client is shown as text: no markup, no escape sequences."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import typer

WIDE = 200  # columns where the output is no terminal


def plain(value: object) -> str:
    """Write a value as text on one line, what is not printable escaped."""
    if value is None:
        return "-"
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = str(value)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table. The first column is never cut off."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not for every command
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        shown.add_column(name, no_wrap=True, overflow="fold" if number == 0 else "ellipsis")
    for row in rows:
        shown.add_row(*(Text(plain(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else WIDE).print(shown)


def fields(values: Mapping[str, object]) -> None:
    """Print one thing's fields, one a line; those inside another are set in."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            typer.echo(f"{plain(name):{width}}")
            for one in value:
                typer.echo("  - " + "  ".join(f"{plain(key)}={plain(part)}" for key, part in one.items()))
        else:
            typer.echo(f"{plain(name):{width}}  {plain(value)}")


def seconds(value: float | None) -> str:
    """Write a duration in its greatest unit: 5 s, 3 min, 2.5 h, 4 d."""
    if value is None:
        return "-"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s"


@contextmanager
def progress(total: int, *, visible: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on the terminal, if there is one; what is yielded moves it to a count."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not for every command
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not (visible and console.is_terminal)) as bar:
        shown = bar.add_task("", total=total)
        yield lambda count: bar.update(shown, completed=count)
