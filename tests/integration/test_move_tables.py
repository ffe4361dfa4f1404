"""No table is forgotten by a move: each is copied, or is known to say nothing of tasks."""

import asyncio
from pathlib import Path

from parts import entry

from taskmill.sql import Database, SqliteDatabase
from taskmill.tasks.api import apply_migrations
from taskmill.tasks.move.schema import NOTED
from taskmill.tasks.move.tables import LARGE, SMALL

# What belongs to a database, or to the processes that use it now.
LEFT = {"happened", "taskmill_migration", "sqlite_sequence", "node", "lease", "move", "move_change"} | {
    "task_index",
    "indexed",
}


async def _tables(directory: Path) -> set[str]:
    config = SqliteDatabase.Config(name="db", kind="db.sql.sqlite", file=str(directory / "tasks.db"))  # type: ignore[call-arg]
    database: Database = entry(SqliteDatabase, config)
    await database.start()
    try:
        await apply_migrations(database=database)
        found = await database.read(
            lambda connection: connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
        )
        return {name for (name,) in found}
    finally:
        await database.stop()


def test_every_table_is_copied_or_known_to_stay(tmp_path: Path) -> None:
    copied = {str(table.name) for table in (*LARGE, *SMALL)}
    assert asyncio.run(_tables(tmp_path)) == copied | LEFT
    assert set(NOTED) == {str(table.name) for table in LARGE}
