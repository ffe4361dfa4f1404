"""The table of tasks, and the process that makes it."""

from sqlalchemy import JSON, Column, Float, MetaData, Table, Text
from sqlalchemy.schema import CreateTable

from taskmill import sql

tasks = Table(
    "tasks",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("status", Text, nullable=False),
    Column("result", JSON, nullable=False),
    Column("created_at", Float, nullable=False),  # seconds since 1970
)


def migrate() -> int:
    """Return 0: it is done, and not started again."""
    with sql.get("app:db") as db:
        db.execute(CreateTable(tasks, if_not_exists=True))
    return 0
