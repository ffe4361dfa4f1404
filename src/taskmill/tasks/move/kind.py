"""``task.move``: what can move a task queue to another database while it serves."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any, ClassVar, NamedTuple

from taskmill.process.host import ProcessHost
from taskmill.registry import Entry, EntryConfig, reference
from taskmill.sql import Database
from taskmill.supervisor import Context, Replacement
from taskmill.tasks.api import make_tables
from taskmill.tasks.move import ends, journal
from taskmill.tasks.move.move import Move, Progress
from taskmill.tasks.move.target import WrongTarget, entry_of, misfit, opened
from taskmill.tasks.sealing.database import stored
from taskmill.tasks.service import TaskService

logger = logging.getLogger(__name__)


class TaskMoveConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Moves all tasks to another database while they are served: `taskmill move`, or `POST /move`."""

    tasks: Annotated[str, reference("task.service", description="The task queue whose tasks can move.")]


class Before(NamedTuple):
    """What a run of the application leaves to the next one: the switch between them, and the move it was part of."""

    replacement: Replacement
    progress: Progress

    def look(self) -> Progress:
        """Return how the move ended."""
        progress, switch = self.progress, self.replacement
        progress.held = switch.held
        if switch.error is not None:
            progress.error, progress.entry = str(switch.error) or type(switch.error).__name__, None
        if switch.held is not None:
            progress.state = "done" if switch.error is None else "failed"
        return progress


class TaskMove:
    """Moves the tasks when it is asked to, one move at a time."""

    kind: ClassVar[str] = "task.move"
    Config: ClassVar[type[EntryConfig]] = TaskMoveConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskMoveConfig = entry.config
        self._context = context
        self._id = entry.id
        self._move: Move | None = None
        self._before: Before | None = None
        self._unfinished = Progress()  # of a move that nobody has gone on with
        self._asking = asyncio.Lock()

    async def start(self) -> None:
        """Look whether a move has just been made, or left unfinished."""
        self._tasks = self._context.get(self._config.tasks, TaskService)
        before = self._context.inherited(self._id)
        if isinstance(before, Before):
            self._before = before
            if entry := before.look().entry:
                logger.info(
                    "all tasks have moved to %s; write into _index.yaml:\n%s", before.progress.to, entry
                )
            return
        end = await self._source.write(lambda transaction: journal.find(transaction, journal.SOURCE))
        if end is not None:
            self._unfinished = Progress("unfinished", end.other)
            text = "a move to %s is unfinished: `taskmill move --to URL` goes on, `taskmill move --break-off` ends it"
            logger.warning(text, end.other)

    async def stop(self) -> None:
        """Go no further with a move; it can be gone on with later."""
        if self._move is not None:
            await self._move.stop()

    def progress(self) -> Progress:
        """Return how far the move is, or how the last one ended."""
        if self._move is not None:
            return self._move.look()
        return self._unfinished if self._before is None else self._before.look()

    async def begin(self, to: str, patience: float) -> Progress:
        """Begin to move the tasks to the database of a url, or go on with that.

        ``patience`` is for how many seconds tasks that run are waited for.

        Raises:
            WrongTarget: the url names none that tasks can move to.
            DatabaseError: it cannot be used.
            Refused: they cannot move there, or not now.
        """
        async with self._asking:
            if self._move is not None and self._move.running:
                raise ends.Refused(
                    f"the tasks are moving to {self._move.target.place} already: break that off first"
                )
            return await self._begin(to, patience)

    async def break_off(self) -> Progress:
        """Break the move off: the tasks stay. Raises Refused where there is none, or it is too late."""
        async with self._asking:
            move = self._move
            if move is not None and move.progress.state == "switching":
                raise ends.Refused("it is too late: the switch has begun, and takes a second")
            if (
                await self._source.write(lambda transaction: journal.find(transaction, journal.SOURCE))
                is None
            ):
                raise ends.Refused("no move is under way")
            if move is not None:
                await move.break_off()
            await ends.give_up(self._source)
            self._move, self._before, self._unfinished = None, None, Progress()
            return self._unfinished

    @property
    def _source(self) -> Database:
        return stored(self._tasks.store.database)  # rows are copied as they are, encrypted or not

    async def _begin(self, to: str, patience: float) -> Progress:
        source = self._source
        old = self._context.entries[source.id]
        entry, lines = entry_of(to, old)
        if other := misfit(entry, self._context):
            raise WrongTarget(f"{other} needs a `{old.kind}`: change that entry first")
        if source.dialect == "mysql":
            raise WrongTarget("tasks can move from SQLite and from PostgreSQL, not from MySQL")
        await ends.see_others_gone(self._tasks)
        target = opened(entry, self._context, _target_failed)
        try:
            await target.start()
            place, copied = await _prepare(source, target, lines)
        except BaseException:
            await target.stop()
            raise
        pool = self._context.get(self._context.entries[self._config.tasks].config.host, ProcessHost).pool
        self._move = Move(self._tasks, pool, target, lambda move: self._switch(move, entry, lines), patience)
        self._move.start(place, copied)
        return self._move.look()

    def _switch(self, move: Move, entry: Entry[Any], lines: str) -> None:
        now = move.look()
        replacement = Replacement(entry, move.switch)
        progress = Progress("switching", now.to, now.total, now.copied, entry=lines)
        replacement.legacy = {self._id: Before(replacement, progress)}
        self._context.replace(replacement)


async def _prepare(source: Database, target: Database, lines: str) -> tuple[str, int]:
    if target.place == source.place:
        raise WrongTarget(f"the tasks are in {source.place} already")
    await make_tables(target)
    return await ends.begin(source, target, lines)


def _target_failed(_: str, error: BaseException) -> None:
    logger.error("the new database cannot go on: %s", error)
