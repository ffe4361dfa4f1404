"""``taskmill init``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.root import APPLICATION, app, wrong

CONCURRENCY = 10  # tasks at once; the built-in application has 2

_HEAD = """\
# The parts of this application: each entry is one, and its kind says what it is. They start in the order of what they
# refer to, and stop in reverse. `taskmill check` lists them, and names every mistake.
"""
_API_HEAD = """\
# The REST API: each path and the function behind it.
"""
_KIND = re.compile(r"^    kind: (\S+)$", re.M)


@app.command(rich_help_panel=APPLICATION)
def init(
    directory: Annotated[Path, typer.Argument(help="Where to; made if it is not there.")] = Path(),
) -> None:
    """Make a new application: actions, registry, tests, requests to try, and a README. Overwrites nothing.

    Example: `taskmill init shop`
    """
    new = dict(_files(directory.resolve().name))
    if there := [name for name in new if (directory / name).exists()]:
        wrong(f"{directory / there[0]} is there already, and nothing was written: name an empty directory")
    try:
        for name, text in new.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        wrong(f"{error.filename or directory} cannot be written: {error.strerror}")
    for name in new:
        typer.echo(f"  {directory / name}")
    place = "" if directory == Path() else f"cd {directory}\n  "
    typer.echo(f"Begin with actions.py, or try it as it is:\n  {place}taskmill run\n  python -m unittest")


def _files(name: str) -> Iterator[tuple[str, str]]:
    """Yield each file of a new application with its text."""
    for template in sorted(files("taskmill.cli").joinpath("template").iterdir(), key=lambda one: one.name):
        if template.name.endswith(".txt"):
            text = template.read_text(encoding="utf-8")
            yield template.name.removesuffix(".txt"), text.replace("# APPLICATION\n", f"# {name}\n", 1)
    yield from _registry()


def _registry() -> Iterator[tuple[str, str]]:
    """Divide the built-in application's registry: what one changes, and the routes of the API."""
    whole = files("taskmill").joinpath("builtin", "_index.yaml").read_text(encoding="utf-8")
    _, _, rest = whole.partition("\nversion:")
    head, _, entries = f"version:{rest}".partition("\nentries:\n")
    own: list[str] = []
    routes: list[str] = []
    for block in entries.strip("\n").split("\n\n"):
        (routes if _is_route(block) else own).append(_changed(block))
    for path, comment, blocks in (("_index.yaml", _HEAD, own), ("api/_index.yaml", _API_HEAD, routes)):
        yield path, f"{comment}{head}\nentries:\n" + "\n\n".join(blocks) + "\n"


def _is_route(block: str) -> bool:
    kind = _KIND.search(block)
    return kind is not None and (
        kind[1] == "http.endpoint" or (kind[1] == "function.python" and "name: process_task\n" not in block)
    )


def _changed(block: str) -> str:
    if "kind: queue.consumer\n" not in block:
        return block
    return re.sub(r"^    concurrency: \d+$", f"    concurrency: {CONCURRENCY}", block, flags=re.M)
