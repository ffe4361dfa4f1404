"""``AsyncClient``: asks a server without holding up the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from taskmill.client import calls, results, walks
from taskmill.client.abreast import all_of
from taskmill.client.batches import AsyncBatching
from taskmill.client.errors import ProblemError, ServerAway
from taskmill.client.events import Event
from taskmill.client.filters import Filters, plain
from taskmill.client.handle import AsyncHandle
from taskmill.client.model import ActionInfo, Changed, Queue, Schedule, Task, Why
from taskmill.client.portions import ABREAST, REST, Portion, portions
from taskmill.client.retrying import Patience
from taskmill.client.settings import Settings, Setup
from taskmill.client.streams import StreamPool
from taskmill.client.submission import Duration, Submission, SubmitOptions, seconds
from taskmill.client.watching import EventFilters, stream_async, watch_of
from taskmill.client.wire import Answer, AsyncSender, Unreachable, write

T = TypeVar("T")


class AsyncClient(AsyncBatching):
    """Asks a server, from one event loop; :class:`Settings` are its arguments.

    Every method may raise ServerAway, NotTaskmill, or ProblemError where the server refuses.
    """

    def __init__(self, url: str = "", **setup: Unpack[Setup]) -> None:
        self._settings = Settings(url=url, **setup)
        self._origin = self._settings.origin()
        self._headers = self._settings.headers()
        context = self._settings.context(self._origin)
        self._pool: AsyncSender = StreamPool(self._origin, self._settings.connections, context)
        self._slots = results.slots(self._settings.connections)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._origin.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept for further requests."""
        await self._pool.close()

    @overload
    async def submit(
        self, action: str, data: object = None, **options: Unpack[SubmitOptions]
    ) -> AsyncHandle[Any]: ...
    @overload
    async def submit(self, action: Submission[T]) -> AsyncHandle[T]: ...
    async def submit(
        self, action: str | Submission[T], data: object = None, **options: Unpack[SubmitOptions]
    ) -> AsyncHandle[T] | AsyncHandle[Any]:
        """Submit a task: an action's name and data, or what `action.submission(…)` made.

        However often it has to be sent, it is one task. Raises also ValueError or TypeError for what cannot be sent.
        """
        submission = Submission(action, data, **options) if isinstance(action, str) else action
        return AsyncHandle(self, await self.ask(calls.submit(submission)), submission.result_type)

    async def submit_many(self, submissions: Iterable[Submission[T]]) -> list[AsyncHandle[T]]:
        """Submit many tasks, a thousand with each request; return their handles in the same order.

        However often they have to be sent, each is one task. Raises:
            SomeRefused: the server refused some; the others are stored.
        """
        waiting = enumerate(portions(submissions))
        outcomes: dict[int, Sequence[AsyncHandle[T] | ProblemError]] = {}

        async def submit_next() -> None:
            for number, portion in waiting:
                outcomes[number] = await self._submit_portion(portion)

        await all_of(submit_next() for _ in range(min(self._settings.connections, ABREAST)))
        return results.handles(one for number in sorted(outcomes) for one in outcomes[number])

    async def get(self, id_: str) -> Task:
        """Return a task with its last attempts; raise ProblemError: 404, or 410 where it was pruned."""
        return await self.ask(calls.task(id_))

    async def why(self, id_: str) -> Why:
        """Return what a task waits for."""
        return await self.ask(calls.why(id_))

    async def wait(self, id_: str, timeout: float | None = None) -> Task:  # noqa: ASYNC109
        """Return a task once it has ended; raise NotEnded after ``timeout`` seconds."""
        looks = results.Looks(timeout, self._settings.timeout, self._slots)
        while True:
            with looks.look() as held:
                task = await self.ask(calls.task(id_, held))
            if task.ended:
                return task
            await asyncio.sleep(looks.rest(task))

    async def result(self, id_: str, timeout: float | None = None, *, type: Any = Any) -> Any:  # noqa: A002, ASYNC109
        """Return what the action of a task returned, once it has, as a ``type``.

        A value that is no mapping comes out of its ``{"output": …}``. Raises TaskFailed, TaskCancelled, NotEnded.
        """
        return results.value(await self.wait(id_, timeout), type)

    async def stream(
        self, id_: str | None = None, *, last: str = "", **filters: Unpack[EventFilters]
    ) -> AsyncIterator[Event]:
        """Give what happens to a task until it has ended, or to all tasks that pass the filters, from now on.

        At first how the task is now, and its log. Where the connection breaks it goes on by itself, for as long as the
        server comes back within `retry_for` seconds; ``last`` is the ``event_id`` to go on after. It has a connection
        of its own, until it ends or is closed. Raises ProblemError: 404, or 410 where the task was pruned.
        """
        async with aclosing(
            stream_async(watch_of(self._origin, self._settings, id_, last, **filters))
        ) as events:
            async for event in events:
                yield event

    async def cancel(self, id_: str) -> Task:
        """Cancel a task, also one that runs; raise ProblemError (409) where it has ended."""
        try:
            return await self.ask(calls.cancel(id_))
        except ProblemError as error:
            if error.repeated and error.status == 409 and (task := await self.get(id_)).status == "cancelled":
                return task
            raise

    async def retry(self, id_: str) -> Task:
        """Run a failed or cancelled task again; raise ProblemError (409) where it is neither."""
        return await self.ask(calls.retry(id_))

    async def release(self, id_: str) -> None:
        """Let a task run that was submitted with ``hold``; raise ProblemError (409) where it has been cancelled."""
        await self.ask(calls.release(id_))

    async def drop(self, id_: str) -> Task:
        """Take back a task that was submitted with ``hold``; raise ProblemError (409) where it was released."""
        return await self.ask(calls.drop(id_))

    async def cancel_many(self, *, dry_run: bool = False, **filters: Unpack[Filters]) -> int:
        """Cancel all that pass the filters, or, dry, only count them; return how many those are."""
        many = walks.Many("cancel", plain(filters))
        if dry_run:
            return (await self.ask(many.counting())).count
        while (call := many.following()) is not None:
            many.take(await self.ask(call))
        return many.count

    async def retry_many(
        self, *, canary: int | None = None, dry_run: bool = False, **filters: Unpack[Filters]
    ) -> Changed:
        """Run all again that pass the filters, ``canary`` of them first: where one fails as before, only those."""
        many = walks.Many("retry", plain(filters), canary)
        if dry_run:
            return await self.ask(many.counting())
        while (call := many.following()) is not None:
            many.take(await self.ask(call))
        return many.outcome()

    async def prune(self, older_than: Duration | None = None, status: str | None = None) -> int:
        """Remove tasks that ended so long ago, or by the declared rules; return how many those were."""
        age = None if older_than is None else seconds("older_than", older_than)
        count, more = 0, True
        while more:
            pruned = await self.ask(calls.prune(age, status))
            count, more = count + pruned.count, pruned.more
        return count

    async def actions(self) -> list[ActionInfo]:
        """Return what the server can be asked to do, by name."""
        return await self.ask(calls.actions())

    async def queues(self) -> list[Queue]:
        """Return the state of every queue."""
        return await self.ask(calls.queues())

    async def queue(self, name: str) -> Queue:
        """Return the state of a queue."""
        return await self.ask(calls.queue(name))

    async def pause(self, queue: str, by: str | None = None) -> Queue:
        """Begin no more tasks of a queue until it is resumed; ``by`` says who wants that."""
        return await self.ask(calls.pause(queue, by))

    async def resume(self, queue: str) -> Queue:
        """Begin tasks of a queue again."""
        return await self.ask(calls.resume(queue))

    async def schedules(self) -> AsyncIterator[Schedule]:
        """Yield the schedules by name, page by page."""
        cursor: str | None = None
        while True:
            page = await self.ask(calls.schedules(cursor, calls.STEP))
            for schedule in page.schedules:
                yield schedule
            if (cursor := page.next) is None:
                return

    async def schedule(self, name: str) -> Schedule:
        """Return a schedule with its last runs."""
        return await self.ask(calls.schedule(name))

    async def put_schedule(self, name: str, action: str, data: object = None, **fields: object) -> Schedule:
        """Make a schedule, or replace it; ``fields`` as in `PUT /schedules`, such as `cron` or `every`."""
        return await self.ask(calls.put_schedule(name, action, data, fields))

    async def delete_schedule(self, name: str) -> None:
        """Remove a schedule; the tasks that it has submitted stay."""
        try:
            await self.ask(calls.delete_schedule(name))
        except ProblemError as error:
            if not (error.repeated and error.status == 404):
                raise

    async def run_schedule(self, name: str) -> AsyncHandle[Any]:
        """Submit a schedule's task now."""
        return AsyncHandle(self, await self.ask(calls.run_schedule(name)))

    async def pause_schedule(self, name: str) -> Schedule:
        """Let a schedule's times pass without a task."""
        return await self.ask(calls.change_schedule(name, "pause"))

    async def resume_schedule(self, name: str) -> Schedule:
        """Run a schedule again, from its next time on."""
        return await self.ask(calls.change_schedule(name, "resume"))

    async def request(
        self,
        method: str,
        *path: str,
        query: dict[str, object] | None = None,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send any request but a HEAD, and return its answer, refusals too: for what has no method here.

        Only a GET is sent again where the first may have been heard.
        """
        return await self.ask(calls.anything(method, path, query or {}, body, headers or {}))

    async def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> AsyncIterator[Task]:
        """Yield the tasks that pass the filters, the newest first, page by page, ``limit`` at most."""
        pages = walks.Pages(plain(filters), limit)
        while (call := pages.following()) is not None:
            for task in pages.take(await self.ask(call)):
                yield task

    async def _submit_portion(
        self, submissions: Sequence[Submission[T]]
    ) -> Sequence[AsyncHandle[T] | ProblemError]:
        portion = Portion(submissions)
        until = time.monotonic() + self._settings.retry_for
        try:
            while (call := portion.following()) is not None:
                if not await self.ask(call):
                    if time.monotonic() >= until:
                        portion.give_up()
                    else:
                        await asyncio.sleep(REST)
        except ProblemError as error:
            portion.refuse(error)
        return [
            one if isinstance(one, ProblemError) else AsyncHandle(self, one, submission.result_type)
            for submission, one in zip(submissions, portion.outcomes(), strict=True)
        ]

    async def ask(self, call: calls.Call[T], /) -> T:
        """Send a request, as often as it takes, and return what its answer becomes."""
        data = write(self._origin, call.method, call.target, {**self._headers, **call.headers}, call.body)
        patience = Patience(self._settings.retry_for, safe=call.safe)
        while True:
            try:
                answer = await self._pool.send(data, self._settings.timeout)
                rest = patience.after(answer)
            except Unreachable as failure:
                rest = patience.after_failure(failure)
                if rest is None:
                    raise ServerAway(
                        self.url, str(failure), maybe_done=patience.repeated or failure.sent
                    ) from None
            else:
                if rest is None:
                    return calls.read(call, answer, self.url, repeated=patience.repeated)
            await asyncio.sleep(rest)
