"""The tables of a move, and the triggers that note which rows change while it lasts.

``move`` has a row for the database that tasks leave, and one in the database that they come to. As long as the former
says ``copying`` there are triggers, and ``move_change`` holds the key of every row that has changed since.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

from taskmill.sql import MYSQL_TABLE, Migration

_metadata = MetaData()

move = Table(
    "move",
    _metadata,
    Column("side", Text, primary_key=True),  # which of both ends this database is
    Column("id", LargeBinary(16), nullable=False),  # the same at both ends
    Column("other", Text, nullable=False),  # what messages call the other end
    Column("state", Text, nullable=False),
    Column("place", Text, nullable=False),  # what is copied now, and up to which key: JSON
    Column("copied", BigInteger, nullable=False),  # rows
    Column("entry", Text, nullable=False),  # of the new database, for `_index.yaml`
)

change = Table(
    "move_change",
    _metadata,
    Column("number", BigInteger, primary_key=True),
    Column("name", Text, nullable=False),  # the table
    Column("id", LargeBinary),  # the row's key: this,
    Column("key", Text),  # or this
)

# Which column of a table goes into which one of the notes.
NOTED: Mapping[str, tuple[str, str]] = {
    "task": ("id", "id"),
    "attempt": ("task_id", "id"),
    "note": ("task_id", "id"),
    "step": ("task_id", "id"),
    "idempotency": ("key", "key"),
    "tombstone": ("id", "id"),
}

COMPONENT = "move"

MIGRATIONS = (
    Migration(
        1,
        "move",
        {
            "sqlite": """
            CREATE TABLE move (
                side TEXT NOT NULL PRIMARY KEY,
                id BLOB NOT NULL,
                other TEXT NOT NULL,
                state TEXT NOT NULL,
                place TEXT NOT NULL,
                copied INTEGER NOT NULL,
                entry TEXT NOT NULL
            ) WITHOUT ROWID;
            CREATE TABLE move_change (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                name TEXT NOT NULL,
                id BLOB,
                key TEXT
            );
            """,
            "postgresql": """
                CREATE TABLE move (
                    side text NOT NULL PRIMARY KEY,
                    id bytea NOT NULL,
                    other text NOT NULL,
                    state text NOT NULL,
                    place text NOT NULL,
                    copied bigint NOT NULL,
                    entry text NOT NULL
                );
                CREATE TABLE move_change (
                    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                    name text NOT NULL,
                    id bytea,
                    key text
                );
            """,
            "mysql": f"""
                CREATE TABLE IF NOT EXISTS move (
                    side VARCHAR(20) NOT NULL PRIMARY KEY,
                    id VARBINARY(16) NOT NULL,
                    other TEXT NOT NULL,
                    state VARCHAR(20) NOT NULL,
                    place TEXT NOT NULL,
                    copied BIGINT NOT NULL,
                    entry TEXT NOT NULL
                ) {MYSQL_TABLE}
            """,
        },
    ),
)


def _on(table: str) -> str:
    column, noted = NOTED[table]

    def sqlite(event: str, row: str) -> str:
        return (
            f"CREATE TRIGGER move_{table}_{event.lower()} AFTER {event} ON {table} BEGIN "  # noqa: S608 - our own names
            f"INSERT INTO move_change (name, {noted}) VALUES ('{table}', {row}.{column}); END;"
        )

    return "\n".join([sqlite("INSERT", "NEW"), sqlite("UPDATE", "NEW"), sqlite("DELETE", "OLD")])


def _on_postgres(table: str) -> str:
    column, noted = NOTED[table]
    return f"""
        CREATE FUNCTION move_note_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO move_change (name, {noted}) VALUES ('{table}', COALESCE(NEW.{column}, OLD.{column}));
            RETURN NULL;
        END $$;
        CREATE TRIGGER move_note AFTER INSERT OR UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION move_note_{table}();
    """  # noqa: S608 - our own names


def _off(table: str) -> str:
    return "\n".join(
        f"DROP TRIGGER IF EXISTS move_{table}_{event};" for event in ("insert", "update", "delete")
    )


# A key never changes, so a note of the row's key as it is now says which row it was.
NOTE: Mapping[str, str] = {
    "sqlite": "\n".join(map(_on, NOTED)),
    "postgresql": "\n".join(map(_on_postgres, NOTED)),
}
NOTE_NO_MORE: Mapping[str, str] = {
    "sqlite": "\n".join(map(_off, NOTED)),
    "postgresql": "\n".join(f"DROP FUNCTION IF EXISTS move_note_{table}() CASCADE;" for table in NOTED),
}

# Wait for those who submit in transactions of their own, and let no other begin, until the end of this transaction;
LOCK: Mapping[str, str] = {"sqlite": "", "postgresql": "LOCK TABLE task IN SHARE ROW EXCLUSIVE MODE"}
# and then, nor ever again.
CLOSE: Mapping[str, str] = {
    "sqlite": "",
    "postgresql": """
        CREATE OR REPLACE FUNCTION move_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'these tasks have moved to %', (SELECT other FROM move WHERE side = 'source');
        END $$;
        DROP TRIGGER IF EXISTS move_refuse ON task;
        CREATE TRIGGER move_refuse BEFORE INSERT ON task FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
    """,
}

# Have the server look at what it has got, so that it goes about it the right way.
ANALYZE: Mapping[str, str] = {"sqlite": "", "postgresql": "ANALYZE task; ANALYZE attempt; ANALYZE tombstone"}
