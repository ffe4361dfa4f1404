"""``Client``: asks a server, and waits for the answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from taskmill.client import calls, results, walks
from taskmill.client.batches import Batching
from taskmill.client.errors import ProblemError, ServerAway
from taskmill.client.events import Event
from taskmill.client.filters import Filters, plain
from taskmill.client.handle import Handle
from taskmill.client.model import ActionInfo, Changed, Queue, Schedule, Task, Why
from taskmill.client.portions import ABREAST, REST, Portion, portions
from taskmill.client.retrying import Patience
from taskmill.client.settings import Settings, Setup
from taskmill.client.sockets import SocketPool
from taskmill.client.submission import Duration, Submission, SubmitOptions, seconds
from taskmill.client.watching import EventFilters, stream, watch_of
from taskmill.client.wire import Answer, Sender, Unreachable, write

T = TypeVar("T")


class Client(Batching):
    """Asks a server. Threads may share one; :class:`Settings` are its arguments.

    Every method may raise ServerAway, NotTaskmill, or ProblemError where the server refuses.
    """

    def __init__(self, url: str = "", **setup: Unpack[Setup]) -> None:
        self._settings = Settings(url=url, **setup)
        self._origin = self._settings.origin()
        self._headers = self._settings.headers()
        context = self._settings.context(self._origin)
        self._pool: Sender = SocketPool(self._origin, self._settings.connections, context)
        self._slots = results.slots(self._settings.connections)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._origin.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept for further requests."""
        self._pool.close()

    @overload
    def submit(self, action: str, data: object = None, **options: Unpack[SubmitOptions]) -> Handle[Any]: ...
    @overload
    def submit(self, action: Submission[T]) -> Handle[T]: ...
    def submit(
        self, action: str | Submission[T], data: object = None, **options: Unpack[SubmitOptions]
    ) -> Handle[T] | Handle[Any]:
        """Submit a task: an action's name and data, or what `action.submission(…)` made.

        However often it has to be sent, it is one task. Raises also ValueError or TypeError for what cannot be sent.
        """
        submission = Submission(action, data, **options) if isinstance(action, str) else action
        return Handle(self, self.ask(calls.submit(submission)), submission.result_type)

    def submit_many(self, submissions: Iterable[Submission[T]]) -> list[Handle[T]]:
        """Submit many tasks, a thousand with each request; return their handles in the same order.

        However often they have to be sent, each is one task. Raises:
            SomeRefused: the server refused some; the others are stored.
        """
        context = copy_context()  # the caller's span is in it, if there is one
        with ThreadPoolExecutor(min(self._settings.connections, ABREAST)) as threads:
            outcomes = threads.map(
                lambda portion: context.copy().run(self._submit_portion, portion), portions(submissions)
            )
            return results.handles(one for portion in outcomes for one in portion)

    def get(self, id_: str) -> Task:
        """Return a task with its last attempts; raise ProblemError: 404, or 410 where it was pruned."""
        return self.ask(calls.task(id_))

    def why(self, id_: str) -> Why:
        """Return what a task waits for."""
        return self.ask(calls.why(id_))

    def wait(self, id_: str, timeout: float | None = None) -> Task:
        """Return a task once it has ended; raise NotEnded after ``timeout`` seconds."""
        looks = results.Looks(timeout, self._settings.timeout, self._slots)
        while True:
            with looks.look() as held:
                task = self.ask(calls.task(id_, held))
            if task.ended:
                return task
            time.sleep(looks.rest(task))

    def result(self, id_: str, timeout: float | None = None, *, type: Any = Any) -> Any:  # noqa: A002
        """Return what the action of a task returned, once it has, as a ``type``.

        A value that is no mapping comes out of its ``{"output": …}``. Raises TaskFailed, TaskCancelled, NotEnded.
        """
        return results.value(self.wait(id_, timeout), type)

    def stream(
        self, id_: str | None = None, *, last: str = "", **filters: Unpack[EventFilters]
    ) -> Iterator[Event]:
        """Give what happens to a task until it has ended, or to all tasks that pass the filters, from now on.

        At first how the task is now, and its log. Where the connection breaks it goes on by itself, for as long as the
        server comes back within `retry_for` seconds; ``last`` is the ``event_id`` to go on after. It has a connection
        of its own, until it ends or is closed. Raises ProblemError: 404, or 410 where the task was pruned.
        """
        return stream(watch_of(self._origin, self._settings, id_, last, **filters))

    def cancel(self, id_: str) -> Task:
        """Cancel a task, also one that runs; raise ProblemError (409) where it has ended."""
        try:
            return self.ask(calls.cancel(id_))
        except ProblemError as error:
            if error.repeated and error.status == 409 and (task := self.get(id_)).status == "cancelled":
                return task
            raise

    def retry(self, id_: str) -> Task:
        """Run a failed or cancelled task again; raise ProblemError (409) where it is neither."""
        return self.ask(calls.retry(id_))

    def release(self, id_: str) -> None:
        """Let a task run that was submitted with ``hold``; raise ProblemError (409) where it has been cancelled."""
        self.ask(calls.release(id_))

    def drop(self, id_: str) -> Task:
        """Take back a task that was submitted with ``hold``; raise ProblemError (409) where it was released."""
        return self.ask(calls.drop(id_))

    def cancel_many(self, *, dry_run: bool = False, **filters: Unpack[Filters]) -> int:
        """Cancel all that pass the filters, or, dry, only count them; return how many those are."""
        many = walks.Many("cancel", plain(filters))
        if dry_run:
            return self.ask(many.counting()).count
        while (call := many.following()) is not None:
            many.take(self.ask(call))
        return many.count

    def retry_many(
        self, *, canary: int | None = None, dry_run: bool = False, **filters: Unpack[Filters]
    ) -> Changed:
        """Run all again that pass the filters, ``canary`` of them first: where one fails as before, only those."""
        many = walks.Many("retry", plain(filters), canary)
        if dry_run:
            return self.ask(many.counting())
        while (call := many.following()) is not None:
            many.take(self.ask(call))
        return many.outcome()

    def prune(self, older_than: Duration | None = None, status: str | None = None) -> int:
        """Remove tasks that ended so long ago, or by the declared rules; return how many those were."""
        age = None if older_than is None else seconds("older_than", older_than)
        count, more = 0, True
        while more:
            pruned = self.ask(calls.prune(age, status))
            count, more = count + pruned.count, pruned.more
        return count

    def actions(self) -> list[ActionInfo]:
        """Return what the server can be asked to do, by name."""
        return self.ask(calls.actions())

    def queues(self) -> list[Queue]:
        """Return the state of every queue."""
        return self.ask(calls.queues())

    def queue(self, name: str) -> Queue:
        """Return the state of a queue."""
        return self.ask(calls.queue(name))

    def pause(self, queue: str, by: str | None = None) -> Queue:
        """Begin no more tasks of a queue until it is resumed; ``by`` says who wants that."""
        return self.ask(calls.pause(queue, by))

    def resume(self, queue: str) -> Queue:
        """Begin tasks of a queue again."""
        return self.ask(calls.resume(queue))

    def schedules(self) -> Iterator[Schedule]:
        """Yield the schedules by name, page by page."""
        cursor: str | None = None
        while True:
            page = self.ask(calls.schedules(cursor, calls.STEP))
            yield from page.schedules
            if (cursor := page.next) is None:
                return

    def schedule(self, name: str) -> Schedule:
        """Return a schedule with its last runs."""
        return self.ask(calls.schedule(name))

    def put_schedule(self, name: str, action: str, data: object = None, **fields: object) -> Schedule:
        """Make a schedule, or replace it; ``fields`` as in `PUT /schedules`, such as `cron` or `every`."""
        return self.ask(calls.put_schedule(name, action, data, fields))

    def delete_schedule(self, name: str) -> None:
        """Remove a schedule; the tasks that it has submitted stay."""
        try:
            self.ask(calls.delete_schedule(name))
        except ProblemError as error:
            if not (error.repeated and error.status == 404):
                raise

    def run_schedule(self, name: str) -> Handle[Any]:
        """Submit a schedule's task now."""
        return Handle(self, self.ask(calls.run_schedule(name)))

    def pause_schedule(self, name: str) -> Schedule:
        """Let a schedule's times pass without a task."""
        return self.ask(calls.change_schedule(name, "pause"))

    def resume_schedule(self, name: str) -> Schedule:
        """Run a schedule again, from its next time on."""
        return self.ask(calls.change_schedule(name, "resume"))

    def request(
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
        return self.ask(calls.anything(method, path, query or {}, body, headers or {}))

    def list(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Task]:
        """Yield the tasks that pass the filters, the newest first, page by page, ``limit`` at most."""
        pages = walks.Pages(plain(filters), limit)
        while (call := pages.following()) is not None:
            yield from pages.take(self.ask(call))

    def _submit_portion(self, submissions: Sequence[Submission[T]]) -> Sequence[Handle[T] | ProblemError]:
        portion = Portion(submissions)
        until = time.monotonic() + self._settings.retry_for
        try:
            while (call := portion.following()) is not None:
                if not self.ask(call):
                    if time.monotonic() >= until:
                        portion.give_up()
                    else:
                        time.sleep(REST)
        except ProblemError as error:
            portion.refuse(error)
        return [
            outcome if isinstance(outcome, ProblemError) else Handle(self, outcome, submission.result_type)
            for submission, outcome in zip(submissions, portion.outcomes(), strict=True)
        ]

    def ask(self, call: calls.Call[T], /) -> T:
        """Send a request, as often as it takes, and return what its answer becomes."""
        data = write(self._origin, call.method, call.target, {**self._headers, **call.headers}, call.body)
        patience = Patience(self._settings.retry_for, safe=call.safe)
        while True:
            try:
                answer = self._pool.send(data, self._settings.timeout)
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
            time.sleep(rest)
