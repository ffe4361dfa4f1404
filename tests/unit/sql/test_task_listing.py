"""Finding tasks: by an index, without sorting, and never more than a bounded number of rows in one read."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import apsw
import pytest
from opened import opened
from sqlalchemy import Select

from taskmill.sql import migrate
from taskmill.sql.sqlite import SqliteDatabase, _compiled
from taskmill.tasks.ids import to_text
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.schema import COMPONENT, MIGRATIONS
from taskmill.tasks.view import listing, selecting
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.listing import Listing

T = TypeVar("T")
ROWS = 500
INSERT = (
    "INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, rank, key, tags) "
    "VALUES (?, ?, ?, '{}', ?, 0, 1, ?, ?, ?, ?)"
)


def rows() -> Iterator[tuple[Any, ...]]:
    """Tasks of which every fifth has what a plain one lacks."""
    for number in range(ROWS):
        plain = number % 5 != 0
        yield (
            (number << 80).to_bytes(16), f"action-{number % 3}", "tasks" if number % 10 else "mail", number % 6,
            number, None if plain else number, None if plain else f"key-{number % 20}",
            None if plain else f'["tag-{number % 4}"]',
        )  # fmt: skip


SHAPES = [
    Selection(tuple(statuses), action, queue, key, tag, after, before)
    for statuses, action, queue, key, tag, (after, before) in itertools.product(
        ([], [Status.FAILED], [Status.QUEUED, Status.RUNNING]), (None, "action-1"), (None, "mail"),
        (None, "key-10"), (None, "tag-0"), ((None, None), (10, ROWS - 10)),
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        connection.execute(migration.sql["sqlite"])
    with connection:
        connection.executemany(INSERT, rows())
    yield connection
    connection.close()


def plan(connection: apsw.Connection, statement: Select[Any], selection: Selection) -> list[str]:
    compiled = _compiled(statement)
    values = {**compiled.params, **selecting.values_of(selection, None), "scan_": 100, "limit_": 10}
    arguments = [values[name] for name in compiled.positiontup or ()]
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + str(compiled), arguments)]


@pytest.mark.parametrize("statement_of", [selecting.page, selecting.keys, selecting.count])
def test_every_selection_goes_by_an_index_and_sorts_nothing(
    connection: apsw.Connection, statement_of: Callable[[selecting.Shape], Select[Any]]
) -> None:
    for selection in SHAPES:
        steps = plan(connection, statement_of(selecting.shape_of(selection)), selection)
        assert not [step for step in steps if "TEMP B-TREE" in step or step.startswith("SCAN task")], steps
        candidates = [step for step in steps if step.startswith("SEARCH task") and "(id=?)" not in step]
        if selection.key:
            wanted = "task_key (key=?"
        elif selection.action:
            wanted = "task_action (action=? AND status=?"
        elif selection.statuses:
            wanted = "task_status (status=?"
        elif selection.tag:
            wanted = "task_tagged (id>?"
        else:
            wanted = "PRIMARY KEY (id>?"
        assert candidates
        assert all(wanted in step and "id>? AND id<?" in step for step in candidates), (selection, steps)


def run(path: Path, use: Callable[[Listing], Awaitable[T]]) -> T:
    async def whole() -> T:
        async with opened(path) as database:
            await migrate(database, COMPONENT, MIGRATIONS)
            await insert(database, list(rows()))
            return await use(Listing(Reader(database)))

    return asyncio.run(whole())


async def insert(database: SqliteDatabase, values: list[tuple[Any, ...]]) -> None:
    await database.writer.run(lambda connection: connection.executemany(INSERT, values).fetchall())


def expected(selection: Selection) -> list[int]:
    """Say by a plain look which numbers are meant, newest first."""
    found = []
    for number, (_, action, queue, status, created_at, _, key, tags) in reversed(list(enumerate(rows()))):
        meant = (
            (not selection.statuses or status in selection.statuses)
            and selection.action in (None, action)
            and selection.queue in (None, queue)
            and selection.key in (None, key)
            and (selection.tag is None or (tags is not None and f'"{selection.tag}"' in tags))
            and (selection.after is None or created_at >= selection.after)
            and (selection.before is None or created_at < selection.before)
        )
        if meant:
            found.append(number)
    return found


@pytest.mark.parametrize(("scan", "looks"), [(3, 2), (7, 10), (ROWS, 1)])
def test_a_walk_in_small_looks_finds_all_of_every_selection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan: int, looks: int
) -> None:
    monkeypatch.setattr(listing, "SCAN", scan)
    monkeypatch.setattr(listing, "LOOKS", looks)

    async def walks(found: Listing) -> None:
        for selection in SHAPES:
            numbers: list[int] = []
            cursor: bytes | None = None
            while True:
                keys, cursor = await found.keys(selection, cursor, 4)
                assert len(keys) <= 4
                numbers += [int.from_bytes(key) >> 80 for key in keys]
                if cursor is None:
                    break
            assert numbers == expected(selection), selection
            assert await found.count(selection) == len(numbers)

    run(tmp_path, walks)


def test_a_look_for_what_is_not_there_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SCAN", 10)
    monkeypatch.setattr(listing, "LOOKS", 3)

    async def look(found: Listing) -> None:
        tasks, cursor = await found.page(Selection(queue="none"), None, 100)
        assert tasks == []
        assert cursor is not None
        assert to_text(cursor) == to_text(((ROWS - 30) << 80).to_bytes(16)), (
            "thirty were looked at, and no more"
        )

    run(tmp_path, look)


def test_what_was_made_while_the_clock_was_back_is_found_by_its_time(tmp_path: Path) -> None:
    """Ids stand still while the clock is behind, so the time in them is later than the task's own."""

    async def look(found: Listing) -> None:
        late = 10**12
        behind = [((late + 50_000 << 80) + n).to_bytes(16) for n in range(3)]
        row = [(id_, "late", "tasks", 0, late, None, None, None) for id_ in behind]
        await insert(found._reader.database, row)
        keys, _ = await found.keys(Selection(before=late + 1, action="late"), None, 10)
        assert keys == behind[::-1]
        assert (await found.keys(Selection(after=late + 1, action="late"), None, 10))[0] == []
        assert len((await found.keys(Selection(after=late, action="late"), None, 10))[0]) == 3

    run(tmp_path, look)


@pytest.mark.parametrize("cursor", [bytes(16), b"\xff" * 16])
def test_the_ends_of_all_ids_are_cursors(tmp_path: Path, cursor: bytes) -> None:
    async def look(found: Listing) -> None:
        keys, _ = await found.keys(Selection(), cursor, 1000)
        assert len(keys) == (ROWS if cursor[0] else 0)

    run(tmp_path, look)
