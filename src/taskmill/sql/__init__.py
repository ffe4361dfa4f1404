"""Databases declared as entries, their group-commit writer, and migrations."""

from taskmill.sql.access import AsyncSession, Session, get
from taskmill.sql.errors import DatabaseDamaged, DatabaseError, DatabaseUnavailable
from taskmill.sql.migrations import Migration, migrate
from taskmill.sql.sqlite import SqliteDatabase, Transaction
from taskmill.sql.writer import Lane, Overloaded, Writer

__all__ = [
    "AsyncSession",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseUnavailable",
    "Lane",
    "Migration",
    "Overloaded",
    "Session",
    "SqliteDatabase",
    "Transaction",
    "Writer",
    "get",
    "migrate",
]
