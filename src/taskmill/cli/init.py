"""``taskmill init``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.engines import Database, Driver, Engine
from taskmill.cli.root import APPLICATION, app, wrong

CONCURRENCY = 10  # tasks at once; the built-in application has 2

_HEAD = """\
# The parts of this application: each entry is one, and its kind says what it is. They start in the order of what they
# refer to, and stop in reverse. `taskmill check` lists them, and names every mistake.
"""
_API_HEAD = """\
# The REST API: each path and the function behind it.
"""
_IN_A_FILE = "Tasks are kept in `data/tasks.db`, beside the directory that the server was started in."
_KIND = re.compile(r"^    kind: (\S+)$", re.M)


@app.command(rich_help_panel=APPLICATION)
def init(
    directory: Annotated[Path, typer.Argument(help="Where to; made if it is not there.")] = Path(),
    database: Annotated[Database, typer.Option(help="Where tasks are kept.")] = Database.SQLITE,
    driver: Annotated[
        Driver, typer.Option(help="What hands tasks to workers, on several nodes.")
    ] = Driver.MEMORY,
) -> None:
    """Make a new application: actions, registry, tests, requests to try, and a README. Overwrites nothing.

    Example: `taskmill init shop`

    On several nodes: `taskmill init shop --database postgresql --driver nats`. Where the servers are is then taken
    from the environment: DATABASE_URL, NATS_URL, REDIS_URL, RABBITMQ_URL.
    """
    if driver is Driver.POSTGRESQL and database is not Database.POSTGRESQL:
        wrong("--driver postgresql is a table in the application's database: add `--database postgresql`")
    new = dict(_files(directory.resolve().name, (database, driver)))
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
    if extras := sorted({engine.extra for engine in (database, driver)} - {""}):
        typer.echo(f'It needs the clients of its servers: pip install "taskmill[{",".join(extras)}]"')
    place = "" if directory == Path() else f"cd {directory}\n  "
    typer.echo(f"Begin with actions.py, or try it as it is:\n  {place}taskmill run\n  python -m unittest")


def _files(name: str, engines: tuple[Engine, ...]) -> Iterator[tuple[str, str]]:
    """Yield each file of a new application with its text."""
    for template in sorted(files("taskmill.cli").joinpath("template").iterdir(), key=lambda one: one.name):
        if template.name.endswith(".txt"):
            text = template.read_text(encoding="utf-8").replace("# APPLICATION\n", f"# {name}\n", 1)
            if engines[0] is not Database.SQLITE:
                text = text.replace(_IN_A_FILE, "Tasks are kept in the database that `DATABASE_URL` names.")
            yield template.name.removesuffix(".txt"), text
    yield from _registry(engines)


def _registry(engines: tuple[Engine, ...]) -> Iterator[tuple[str, str]]:
    """Divide the built-in application's registry: what one changes, and the routes of the API."""
    whole = files("taskmill").joinpath("builtin", "_index.yaml").read_text(encoding="utf-8")
    _, _, rest = whole.partition("\nversion:")
    head, _, entries = f"version:{rest}".partition("\nentries:\n")
    own: list[str] = []
    routes: list[str] = []
    for block in entries.strip("\n").split("\n\n"):
        (routes if _is_route(block) else own).append(_changed(block, engines))
    for path, comment, blocks in (("_index.yaml", _HEAD, own), ("api/_index.yaml", _API_HEAD, routes)):
        yield path, f"{comment}{head}\nentries:\n" + "\n\n".join(blocks) + "\n"


def _is_route(block: str) -> bool:
    kind = _KIND.search(block)
    return kind is not None and (
        kind[1] == "http.endpoint" or (kind[1] == "function.python" and "name: process_task\n" not in block)
    )


def _changed(block: str, engines: tuple[Engine, ...]) -> str:
    for engine in engines:
        if f"  - name: {engine.entry}\n" in block:
            return engine.entry_text() or block
    if "kind: queue.consumer\n" not in block:
        return block
    return re.sub(r"^    concurrency: \d+$", f"    concurrency: {CONCURRENCY}", block, flags=re.M)
