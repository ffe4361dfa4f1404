"""``taskmill backup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taskmill.cli.root import APPLICATION, app, failed


@app.command(rich_help_panel=APPLICATION)
def backup(
    database: Annotated[Path, typer.Argument(help="The database's file, such as `data/tasks.db`.")],
    copy: Annotated[Path, typer.Argument(help="The file to write; there must be none of this name.")],
) -> None:
    """Copy a database, also while it is in use: everything acknowledged before this began is in the copy.

    Example: `taskmill backup data/tasks.db saved.db`
    """
    from taskmill.sql import DatabaseError  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.sql.backup import back_up  # noqa: PLC0415

    try:
        size = back_up(database, copy)
    except DatabaseError as error:
        failed(str(error))
    typer.echo(f"{copy} is complete: {size:,} bytes")
