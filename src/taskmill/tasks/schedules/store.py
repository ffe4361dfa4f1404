"""Reads and writes schedules."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from taskmill.sql import Database, Transaction
from taskmill.tasks.schedules import statements
from taskmill.tasks.schedules.model import Definition, Paused, Schedule, timing
from taskmill.tasks.schedules.timing import Timing, spread

logger = logging.getLogger(__name__)

READ_AT_ONCE = 500  # rows
MOST = 10_000  # schedules
RECENT = 10  # due times that are shown


class TooMany(Exception):
    """There are as many schedules as there may be."""


class Declared(Exception):
    """The registry declares this schedule, so only the registry can change it so."""


class ScheduleStore:
    """The schedules of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, name: str) -> tuple[Schedule, list[Any]] | None:
        """Return a schedule and its last due times, or None."""
        one = self.database.bind(statements.ONE, {"name_": name})
        fires = self.database.bind(statements.RECENT, {"schedule_": name, "limit_": RECENT})

        def call(connection: Any) -> tuple[Schedule, list[Any]] | None:
            row = connection.execute(*one).fetchone()
            return (Schedule(*row), connection.execute(*fires).fetchall()) if row else None

        return await self.database.read(call)

    async def page(self, after: str, limit: int) -> list[Schedule]:
        """Return schedules in the order of their names, ``limit`` at most, from behind a name on."""
        return [Schedule(*row) for row in await self._read(statements.PAGE, name_=after, limit_=limit)]

    async def due(self, now: int, limit: int) -> list[Schedule]:
        """Return schedules whose next run has come."""
        return [Schedule(*row) for row in await self._read(statements.DUE, now_=now, limit_=limit)]

    async def next_run_at(self) -> int | None:
        """Return when a schedule runs next."""
        ((next_run_at,),) = await self._read(statements.NEXT)
        return next_run_at  # type: ignore[no-any-return]

    async def put(self, definition: Definition, now: int) -> bool:
        """Add or change a schedule; return whether it is new.

        Raises:
            Declared: the registry declares one of this name.
            TooMany: there is no room for another.
        """

        def call(transaction: Transaction) -> bool:
            found = _one(transaction, definition.name)
            if found is not None and found.declared:
                raise Declared
            if found is None and transaction.fetch(statements.COUNT)[0][0] >= MOST:
                raise TooMany
            paused = Paused.ASKED if definition.paused else Paused.NO
            _write(transaction, definition, found, paused, now)
            return found is None

        return await self.database.write(call)

    async def delete(self, name: str) -> bool:
        """Remove a schedule; return whether there was one. Raises Declared."""

        def call(transaction: Transaction) -> bool:
            found = _one(transaction, name)
            if found is not None and found.declared:
                raise Declared
            return found is not None and _drop(transaction, name)

        return await self.database.write(call)

    async def pause(self, name: str, now: int) -> bool:
        """Run a schedule no more until it is resumed; return whether there is one."""

        def call(transaction: Transaction) -> bool:
            found = _one(transaction, name)
            if found is not None and found.paused == Paused.NO:
                _set_paused(transaction, name, Paused.ASKED, None, None, now)
            return found is not None

        return await self.database.write(call)

    async def resume(self, name: str, now: int) -> bool:
        """Run a schedule again, from its next time on; return whether there is one. Raises Declared."""

        def call(transaction: Transaction) -> bool:
            found = _one(transaction, name)
            if found is not None and found.paused == Paused.DECLARED:
                raise Declared
            if found is not None and found.paused:
                due = found.timing().after(now)
                run_at = spread(name, due, found.jitter)
                _set_paused(transaction, name, Paused.NO, due, run_at, now)
            return found is not None

        return await self.database.write(call)

    async def sync(self, definitions: Sequence[Definition], now: int) -> None:
        """Make those schedules that the registry declares just these, in one transaction."""
        names = {definition.name for definition in definitions}

        def call(transaction: Transaction) -> None:
            for row in _all(transaction):
                if row.declared and row.name not in names:
                    _drop(transaction, row.name)
                    logger.info("schedule %s is no longer declared, and removed", row.name)
            for definition in definitions:
                found = _one(transaction, definition.name)
                if found is not None and not found.declared:
                    logger.warning(
                        "schedule %s was put through the API; the registry declares it now", found.name
                    )
                asked = found is not None and found.paused == Paused.ASKED
                paused = Paused.DECLARED if definition.paused else Paused.ASKED if asked else Paused.NO
                _write(transaction, definition, found, paused, now)

        await self.database.write(call)

    async def look_again(self, since: int) -> None:
        """Have each schedule run at its first due time after ``since``, if it has not missed one before.

        For a clock that was set back, and for rules of a time zone that have changed. Runs that have been keep
        their rows, and so are not repeated.
        """

        def call(transaction: Transaction) -> None:
            for row in _all(transaction):
                if row.paused or (row.next_due is not None and row.next_due <= since):
                    continue
                due, run_at = _next(row, since)
                if due != row.next_due or run_at != row.next_run_at:
                    values = {"next_due_": due, "next_run_at_": run_at}
                    transaction.change(statements.SET_NEXT, name_=row.name, **values)

        await self.database.write(call)

    async def give_up(self, row: Schedule) -> None:
        """Leave a schedule alone that cannot be run, until the next start or change."""
        values = {"name_": row.name, "next_due_": None, "next_run_at_": None}
        await self.database.write(lambda transaction: transaction.change(statements.SET_NEXT, **values))

    async def _read(self, statement: Any, **values: Any) -> list[Any]:
        sql, arguments = self.database.bind(statement, values)
        return await self.database.read(lambda connection: connection.execute(sql, arguments).fetchall())


def _one(transaction: Transaction, name: str) -> Schedule | None:
    rows = transaction.fetch(statements.ONE, name_=name)
    return Schedule(*rows[0]) if rows else None


def _all(transaction: Transaction) -> list[Schedule]:
    found: list[Schedule] = []
    while True:
        after = found[-1].name if found else ""
        rows = transaction.fetch(statements.PAGE, name_=after, limit_=READ_AT_ONCE)
        found += [Schedule(*row) for row in rows]
        if len(rows) < READ_AT_ONCE:
            return found


def _drop(transaction: Transaction, name: str) -> bool:
    transaction.change(statements.DROP_FIRES, name_=name)
    return bool(transaction.change(statements.DROP, name_=name))


def _set_paused(
    transaction: Transaction, name: str, paused: Paused, due: int | None, run_at: int | None, now: int
) -> None:
    values = {"paused_": paused.value, "next_due_": due, "next_run_at_": run_at, "updated_at_": now}
    transaction.change(statements.SET_PAUSED, name_=name, **values)


def _next(row: Schedule, since: int) -> tuple[int | None, int | None]:
    try:
        due = row.timing().after(since)
    except (ValueError, KeyError, OverflowError) as error:
        logger.warning("schedule %s cannot run: %s", row.name, error)
        return None, None
    return due, spread(row.name, due, row.jitter)


def _write(transaction: Transaction, new: Definition, old: Schedule | None, paused: Paused, now: int) -> None:
    """Write a definition. While its times stay the same, so does its next run, which may be overdue."""
    same = old is not None and (old.cron, old.every, old.timezone) == (new.cron, new.every, new.timezone)
    anchor = old.anchor if same and old is not None else now
    due = old.next_due if same and old is not None else None
    if paused:
        due = None
    elif due is None:
        due = _timing(new, anchor).after(now)
    values = {
        "declared_": int(new.declared),
        "cron_": new.cron,
        "every_": new.every,
        "timezone_": new.timezone,
        "anchor_": anchor,
        "action_": new.action,
        "data_": new.data,
        "overlap_": new.overlap,
        "catch_up_": new.catch_up,
        "jitter_": new.jitter,
        "queue_": new.queue,
        "priority_": new.priority,
        "paused_": paused.value,
        "next_due_": due,
        "next_run_at_": None if due is None else spread(new.name, due, new.jitter),
    }
    if old is None:
        created = {"created_at_": now, "updated_at_": now, "revision_": 1, "forgotten_": 0}
        transaction.change(statements.ADD, name_=new.name, **created, **values)
    elif any(getattr(old, name[:-1]) != value for name, value in values.items()):
        transaction.change(statements.REPLACE, name_=new.name, updated_at_=now, **values)


def _timing(new: Definition, anchor: int) -> Timing:
    return timing(new.cron, new.every, new.timezone, anchor)
