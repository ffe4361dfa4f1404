"""``taskmill sql``."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taskmill.cli import data, show
from taskmill.cli.application import Overrides, read
from taskmill.cli.root import APPLICATION, app, failed, wrong

if TYPE_CHECKING:
    from taskmill.sql.aside import Table

_IN_JSON = re.compile(r"->|\bjson", re.IGNORECASE)
Form = Literal["table", "json", "csv"]


@app.command(rich_help_panel=APPLICATION)
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT, in the database's own SQL.")],
    directory: Annotated[Path, typer.Option("--app", metavar="DIR", help="The application.")] = Path(),
    data_dir: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where databases are kept.")
    ] = data.DEFAULT,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows at most.")] = 1_000,
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="It is given up after so long.")] = "10s",
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as `--format json`.")] = False,
    override: Overrides = [],  # noqa: B006 - typer never changes it
) -> None:
    """Ask the database of the tasks, read only, as it is at one moment; also while a server runs.

    `tasks` and `attempts` are the tables as people read them: ids as text, status by name, times as RFC 3339.
    `task` and `attempt` are the same as they are stored, with their indexes.

    Example: `taskmill sql "SELECT action, status, count(*) FROM tasks GROUP BY action, status"`
    """
    from taskmill.sql import DatabaseError  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.sql.aside import open_aside  # noqa: PLC0415
    from taskmill.tasks.view.readable import NotReading  # noqa: PLC0415
    from taskmill.tasks.view.readable import query as readable  # noqa: PLC0415
    from taskmill.units import parse_duration  # noqa: PLC0415

    registry = read(directory, override)
    database = data.database_of(registry, data_dir)
    if data.service_of(registry).config.encrypt is not None and _IN_JSON.search(query):
        wrong(
            "data, results and errors are encrypted, and SQL finds nothing in them: ask for the rows, and read what "
            "they hold with `taskmill show`"
        )
    try:
        text, seconds = readable(query, database.core), parse_duration(timeout)
    except NotReading as error:
        wrong(str(error))
    except ValueError as error:
        wrong(f"--timeout: {error}")
    try:
        with open_aside(database, seconds) as aside:
            found = aside.run(text, (), limit)
    except DatabaseError as error:
        failed(str(error))
    _show(found, "json" if as_json else form)
    if found.more:
        typer.echo(f"There are more than {limit:,} rows: raise --limit", err=True)


def _show(found: Table, form: Form) -> None:
    rows = [[_plain(value) for value in row] for row in found.rows]
    if form == "json":
        for row in rows:
            typer.echo(json.dumps(dict(zip(found.columns, row, strict=True)), ensure_ascii=False))
    elif form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(found.columns)
        writer.writerows(rows)
    else:
        show.table(found.columns, rows)


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
