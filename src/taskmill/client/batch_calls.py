"""What can be asked of a server about batches; see :mod:`taskmill.client.calls`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypedDict
from uuid import uuid4

import msgspec

from taskmill.client import batch_model as model
from taskmill.client import calls
from taskmill.client.calls import Call, as_, target
from taskmill.client.portions import keyed
from taskmill.client.submission import Submission

MOST = 5_000  # tasks in one request


class BatchOptions(TypedDict, total=False):
    """What may be said of a batch beside its tasks.

    ``on_complete`` runs once all of them have ended, and finds what became of them in its data as `batch`. One that is
    ``open`` takes more tasks, until it is closed.
    """

    name: str
    on_complete: Submission[Any]
    open: bool


class Making:
    """A batch on its way: made with the first of its tasks, given the others, and closed."""

    def __init__(self, tasks: Iterable[Submission[Any]], options: BatchOptions) -> None:
        self._portions = _portions(tasks)
        self._next = next(self._portions, [])
        self._first = True
        self._options = options
        self._is_open = options.get("open", False)
        self._left_open = False
        self.made = model.BatchMade(id="", ids=[], count=0, on_complete=None)

    def following(self) -> Call[model.BatchMade] | None:
        """Return the next request, or None; see :meth:`take`."""
        portion, following = self._next, next(self._portions, None)
        if self._first:
            self._first = False
            self._left_open = following is not None and not self._is_open
            call = make(portion, self._options, is_open=self._is_open or self._left_open)
        elif portion:
            call = add(self.made.id, portion)
        else:
            return None
        self._next = following or []
        return call

    def take(self, made: model.BatchMade) -> None:
        """Take an answer."""
        if not self.made.id:
            self.made = made
        else:
            self.made.ids += made.ids
            self.made.count += made.count

    def closing(self) -> Call[model.Batch] | None:
        """Return what closes the batch, where it was only left open for the rest of its tasks."""
        return close(self.made.id) if self._left_open else None


def _portions(tasks: Iterable[Submission[Any]]) -> Iterator[list[Submission[Any]]]:
    left = iter(tasks)
    while portion := list(islice(left, MOST)):
        yield portion


def _raw(submission: Submission[Any]) -> msgspec.Raw:
    key = submission.idempotency_key
    return msgspec.Raw(keyed(submission.body, key) if key else submission.body)


def make(tasks: Sequence[Submission[Any]], options: BatchOptions, *, is_open: bool) -> Call[model.BatchMade]:
    """Make a batch; sent twice, it is one."""
    last = options.get("on_complete")
    fields = calls.given(
        name=options.get("name"),
        on_complete=None if last is None else _raw(last),
        open=is_open or None,
    )
    body = msgspec.json.encode({"tasks": [_raw(one) for one in tasks], **fields})
    return Call("POST", "/batches", as_(model.BatchMade), body, {"Idempotency-Key": uuid4().hex})


def add(id_: str, tasks: Sequence[Submission[Any]]) -> Call[model.BatchMade]:
    """Give an open batch more tasks. Sent twice, they could be there twice."""
    body = msgspec.json.encode({"tasks": [_raw(one) for one in tasks]})
    return Call("POST", target("batches", id_, "tasks"), as_(model.BatchMade), body, safe=False)


def get(id_: str) -> Call[model.Batch]:
    """Get a batch."""
    return Call("GET", target("batches", id_), as_(model.Batch))


def close(id_: str) -> Call[model.Batch]:
    """Have a batch take no more tasks."""
    return Call("POST", target("batches", id_, "close"), as_(model.Batch), b"{}")


def cancel(id_: str) -> Call[model.Batch]:
    """Cancel all of a batch that has not ended. Sent twice, the second would be refused."""
    return Call("POST", target("batches", id_, "cancel"), as_(model.Batch), b"{}", safe=False)


def page(cursor: str | None, limit: int = calls.STEP) -> Call[model.BatchPage]:
    """Get a page of the batches, newest first."""
    return Call("GET", target("batches", cursor=cursor, limit=limit), as_(model.BatchPage))


def results(id_: str, cursor: str | None) -> Call[model.MemberPage]:
    """Get a page of what the tasks of a batch came to."""
    return Call(
        "GET", target("batches", id_, "results", cursor=cursor, limit=calls.STEP), as_(model.MemberPage)
    )
