"""Notes in a database: what attempts say of themselves, in order, within bounds, and only by whom the task is."""

import asyncio

from stored import Stored, now
from stores import Place

from taskmill.sql import Database
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.notes import log, statements
from taskmill.tasks.notes.said import BYTES, LINES, Progress, progress_of
from taskmill.tasks.notes.trimming import trim
from taskmill.tasks.retention.retention import Keep, Retention
from taskmill.tasks.rows.store import Store

ODD = "\x1b[31m\0 ünï 🦜 %s '\"\\ \r\n"


async def lines_of(stored: Stored, key: bytes) -> list[log.Line]:
    return log.lines(await stored.reader.read(statements.SINCE, {"id_": key, "number_": 0}))


async def say(stored: Stored, message: TaskMessage, *texts: str, progress: bytes | None = None) -> None:
    """Say something and have it written."""
    notes = stored.store.notes
    for text in texts:
        notes.say(message, None, text)
    if progress is not None:
        notes.say(message, progress, None)
    notes.last(message)
    await stored.committed()


def test_what_an_attempt_says_is_there_with_its_end(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            messages = await stored.add(3)
            for number, message in enumerate(messages):
                stored.store.notes.say(message, progress_of(number, 10, ODD), None)
                stored.store.notes.say(message, None, f"{number} {ODD}")
                stored.tell(message, "complete")
            await stored.committed()
            for number, message in enumerate(messages):
                task = await stored.show(message.key)
                assert (task.status, task.progress) == ("completed", Progress(number, 10, ODD))
                (line,) = await lines_of(stored, message.key)
                assert (line.text, line.attempt, line.dropped) == (f"{number} {ODD}", 1, 0)
            assert not stored.store.notes.pending

    asyncio.run(main())


def test_a_late_attempt_says_nothing(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            late = await stored.message(message.key)
            await say(stored, message, "first", progress=progress_of(1))
            await stored.end(message, "retry", "no")
            await say(stored, late, "between attempts")
            assert (await stored.show(message.key)).progress == Progress(1)
            await stored.store.due(now() + 61_000, 10)
            await say(stored, late, "before the second", progress=progress_of(9))
            second = await stored.message(message.key)
            await stored.start(second)
            assert (await stored.show(message.key)).progress is None, "the second has not come anywhere"
            await say(stored, late, "beside the second", progress=progress_of(9))
            await say(stored, second, "second", progress=progress_of(2))
            await stored.end(second, "complete")
            await say(stored, second, "after the end", progress=progress_of(9))
            assert [(line.text, line.attempt) for line in await lines_of(stored, message.key)] == [
                ("first", 1), ("second", 2),
            ]  # fmt: skip
            assert (await stored.show(message.key)).progress == Progress(2)

    asyncio.run(main())


def test_another_node_s_task_is_left_alone(place: Place) -> None:
    if not place.shared:
        return

    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            own, other = b"o" * 16, b"x" * 16
            store = _of_node(database, own)
            (message,) = await stored.add()
            message.started_at = now()
            store.start(message)
            await stored.committed()
            stranger = _of_node(database, other)
            stranger.notes.say(message, None, "a stranger's")
            stranger.notes.last(message)
            store.notes.say(message, None, "its own")
            store.notes.last(message)
            await stored.committed()
            assert [line.text for line in await lines_of(stored, message.key)] == ["its own"]

    asyncio.run(main())


def _of_node(database: Database, node: bytes) -> Store[bytes, bytes]:
    return Store(
        database, lambda *_: None, lambda *_: None, lambda _: None, lambda _: None, node=lambda: node
    )


def test_a_log_keeps_its_last_lines_and_says_how_many_went(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            written = 0
            for _ in range(7):
                texts = [f"line {number}" for number in range(written, written + 400)]
                await say(stored, message, *texts, progress=progress_of(written))
                written += 400
            await database.write(lambda transaction: trim(transaction, message.key))
            rows = await stored.reader.read(statements.SINCE, {"id_": message.key, "number_": 0})
            assert LINES <= sum(row[4] for row in rows) < LINES + 400
            kept = await lines_of(stored, message.key)
            assert [line.text for line in kept] == [
                f"line {number}" for number in range(written - LINES, written)
            ]
            assert sum(line.dropped for line in kept) == kept[0].dropped == written - LINES
            assert (await stored.show(message.key)).progress == Progress(written - 400)
            await say(stored, message, *[f"flood {number}" for number in range(5 * LINES)])
            kept = await lines_of(stored, message.key)
            assert (len(kept), kept[-1].text) == (LINES, f"flood {5 * LINES - 1}")
            assert kept[0].dropped == written + 4 * LINES
            assert (await stored.show(message.key)).progress == Progress(written - 400)

    asyncio.run(main())


def test_long_lines_are_bounded_by_their_bytes(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            for number in range(40):
                await say(stored, message, f"{number:04}" + "ü" * 1_000)
            await database.write(lambda transaction: trim(transaction, message.key))
            kept = await lines_of(stored, message.key)
            assert BYTES - 2_004 < sum(len(line.text.encode()) for line in kept) <= BYTES
            assert kept[-1].text.startswith("0039")
            assert len(kept) + kept[0].dropped == 40

    asyncio.run(main())


def test_progress_alone_leaves_no_more_than_its_last(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            await say(stored, message, "the only line")
            for number in range(30):
                await say(stored, message, progress=progress_of(number))
            await database.write(lambda transaction: trim(transaction, message.key))
            rows = await stored.reader.read(statements.SINCE, {"id_": message.key, "number_": 0})
            assert len(rows) == 2
            assert (await stored.show(message.key)).progress == Progress(29)
            assert [line.text for line in await lines_of(stored, message.key)] == ["the only line"]

    asyncio.run(main())


def test_notes_go_with_their_task(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            gone, kept = await stored.add(2)
            for message in (gone, kept):
                await say(stored, message, "a line")
            await stored.end(gone, "complete")
            retention = Retention(database, Keep())
            assert (await retention.prune(before=now() + 1)).tasks == 1
            assert await lines_of(stored, gone.key) == []
            assert len(await lines_of(stored, kept.key)) == 1

    asyncio.run(main())
