"""Callbacks: the tasks that tell of the ends of others, made as those are submitted and stored with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from taskmill.http import BadRequest, FieldError
from taskmill.sql import Transaction
from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.callback import statements
from taskmill.tasks.callback.asked import Callback, Event, flaw, of
from taskmill.tasks.ids import id_at, to_text
from taskmill.tasks.intake.placing import NewTask, Placing
from taskmill.tasks.intake.submission import Submission
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.push.addresses import Network, permitted
from taskmill.tasks.rows.reader import Reader

ACTION: Final = "taskmill.callback"
INSIDE: Final = (
    "{} is not on the public internet: "
    "`allow` of the `task.webhooks` names networks that may be told all the same"
)


class CallbackData(msgspec.Struct, omit_defaults=True):
    """The data of such a task: which one's end is to be told, where, and which ends alone."""

    task: str
    url: str
    events: list[Event] | None = None


class Callbacks:
    """Makes the tasks of ``action``. ``queues`` say where to tell of tasks, by queue, that name nothing themselves.

    Such a task has the other's id as its key: by it all that was told of that is found.
    """

    def __init__(
        self, action: Action[Any, Any], queues: Mapping[str, Callback], allowed: Sequence[Network]
    ) -> None:
        self.action = action
        self.queues = queues
        self._allowed = allowed
        self._registered: Registered
        self._placing: Placing

    def open(self, catalog: Catalog, placing: Placing, reader: Reader) -> None:
        """Begin to make tasks; raise SupervisorError where there is no such queue."""
        registered = catalog.find(ACTION)
        assert registered is not None  # noqa: S101 - it was declared with this
        self._registered, self._placing = registered, placing
        self.action.reader = reader  # type: ignore[attr-defined]
        placing.callbacks = self
        if unknown := [queue for queue in self.queues if not placing.has(queue)]:
            raise SupervisorError(f"`queues` of the task.webhooks names `{unknown[0]}`, which is no queue")
        if placing.queue in self.queues:
            catalog.rank_all()  # a plain task has none beside it

    def check(self, asked: str | Callback) -> None:
        """Raise BadRequest where nothing can be sent to what a submission names."""
        url, path = (asked, "callback") if isinstance(asked, str) else (asked.url, "callback.url")
        if wrong := flaw(url) or self._inside(url):
            raise BadRequest("Name a URL that can be told.", [FieldError(path, wrong)])

    def beside(self, new: NewTask, submission: Submission) -> NewTask | None:
        """Return the task that tells of a new one's end, where anybody wants that; None where nobody does."""
        registered = new.message.registered
        if registered is self._registered:
            return None  # nobody is told that somebody was told
        wanted = of(submission.callback) or registered.action.options.callback
        wanted = wanted or self.queues.get(new.place.queue)
        return None if wanted is None else self._make(new.message.key, wanted, new.created_at)

    def again(self, transaction: Transaction, key: bytes, now: int) -> list[NewTask]:
        """Have the next end of a task told that is run again, where its last one was, or was to be."""
        values = {"action_": ACTION, "key_": to_text(key)}
        for status, run_at, data in transaction.fetch(statements.LAST, **values):
            if status == Status.SCHEDULED and run_at is None:
                break  # it has not heard of the last end yet
            try:
                last = msgspec.json.decode(data, type=CallbackData)
            except msgspec.MsgspecError:  # it is encrypted with a key that is missing, or damaged
                break
            return [self._make(key, Callback(last.url, last.events), now)]
        return []

    def _inside(self, url: str) -> str:
        """Say why an address that stands in a URL is not told; names are looked up once there is something to tell."""
        host = urlsplit(url).hostname or ""
        try:
            ip_address(host)
        except ValueError:
            return ""
        return "" if permitted(host, self._allowed) else INSIDE.format(host)

    def _make(self, key: bytes, wanted: Callback, now: int) -> NewTask:
        id_ = to_text(key)
        data = msgspec.json.encode(CallbackData(id_, wanted.url, wanted.events))
        submission = Submission(action=ACTION, data=msgspec.Raw(data), key=id_, after=[id_], on_failure="run")
        return self._placing.place(id_at(now), submission, self._registered, None, now)
