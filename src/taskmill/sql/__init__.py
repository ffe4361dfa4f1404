"""Databases declared as entries, their group-commit writer, and migrations."""

from taskmill.sql.access import AsyncSession, Session, get
from taskmill.sql.database import Connection, Database, Transaction
from taskmill.sql.errors import DatabaseDamaged, DatabaseError, DatabaseUnavailable
from taskmill.sql.migrations import MYSQL_TABLE, Migration, migrate
from taskmill.sql.mysql import MysqlDatabase
from taskmill.sql.postgres import PostgresDatabase
from taskmill.sql.signals import Signals
from taskmill.sql.space import Space
from taskmill.sql.sqlite import SqliteDatabase
from taskmill.sql.writer import Lane, Overloaded, Writer

__all__ = [
    "MYSQL_TABLE",
    "AsyncSession",
    "Connection",
    "Database",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseUnavailable",
    "Lane",
    "Migration",
    "MysqlDatabase",
    "Overloaded",
    "PostgresDatabase",
    "Session",
    "Signals",
    "Space",
    "SqliteDatabase",
    "Transaction",
    "Writer",
    "get",
    "migrate",
]
