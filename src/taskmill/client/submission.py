"""A submission: an action's name, its data, and the options of ``POST /tasks``, as one body."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

import msgspec

from taskmill.units import parse_duration

T = TypeVar("T")

Duration = float | str | timedelta  # seconds; a text such as `10s`, `5m`, `2h`
_DURATIONS = ("delay", "timeout", "expires_in", "start_by", "hold")


class SubmitOptions(TypedDict, total=False):
    """What may be said of a task beside its action and data.

    ``delay`` or ``run_at`` is when it may begin, ``key`` makes waiting tasks with the same one the same task,
    ``timeout`` is how long an attempt may take, ``expires_in`` fails it if it has not begun by then, and
    ``start_by`` has it refused at once where it is not likely to begin by then. With ``hold`` it is only stored: it
    runs once it is released, and is cancelled where that does not come within so long. ``after`` are the ids of tasks
    that must have completed before it begins; where one of them has failed it fails, too, unless ``on_failure`` is
    "run". ``name`` is what it is called, such as among the members of a batch. ``callback`` is a URL that is told how
    the task has ended, or a mapping of its ``url`` and of the ``events`` that it is told. A submission that is sent
    again with its ``idempotency_key`` is the same task; without one the client makes one up for each submission.
    """

    queue: str
    priority: int
    delay: Duration
    run_at: datetime | str
    key: str
    fair_key: str
    tags: Iterable[str]
    max_attempts: int
    timeout: Duration
    expires_in: Duration
    start_by: Duration
    hold: Duration
    after: Iterable[str]
    on_failure: str
    name: str
    callback: str | Mapping[str, Any]
    idempotency_key: str


class Submission(Generic[T]):
    """A task to be submitted. ``T`` is what its action returns, and ``result_type`` what its result is read as.

    Raises:
        ValueError: an option is none that can be sent.
        TypeError: the data is nothing that JSON can say, or there is no such option.
    """

    __slots__ = ("action", "alone", "body", "idempotency_key", "later", "result_type")

    @overload
    def __init__(
        self: Submission[Any], action: str, data: object = None, **options: Unpack[SubmitOptions]
    ) -> None: ...
    @overload
    def __init__(
        self,
        action: str,
        data: object = None,
        *,
        result_type: type[T],
        **options: Unpack[SubmitOptions],
    ) -> None: ...
    def __init__(
        self, action: str, data: object = None, *, result_type: Any = Any, **options: Unpack[SubmitOptions]
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        self.action = action
        self.result_type = result_type
        self.alone = "start_by" in given  # it cannot be one of many in a request
        self.later = not {"delay", "run_at", "hold"}.isdisjoint(given)
        self.idempotency_key = str(given.pop("idempotency_key", ""))
        if unknown := given.keys() - SubmitOptions.__annotations__.keys():
            known = ", ".join(SubmitOptions.__annotations__)
            raise TypeError(f"no option of a task is called `{min(unknown)}`; there are {known}")
        for name in ("tags", "after"):
            if name in given:
                given[name] = _several(name, given[name])
        if isinstance(at := given.get("run_at"), datetime):
            given["run_at"] = _moment(at)
        for name in _DURATIONS:
            if name in given:
                given[name] = seconds(name, given[name])  # type: ignore[arg-type]
        self.body = msgspec.json.encode(
            {"action": action, **({} if data is None else {"data": data}), **given}
        )


def seconds(name: str, duration: Duration) -> float:
    """Return how many seconds a duration is; raise ValueError with the name of what it was given for."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from None


def _several(name: str, values: object) -> list[str]:
    if isinstance(values, str):
        raise TypeError(f"`{name}` are several: write {name}=[{values!r}]")
    return list(values)  # type: ignore[call-overload,no-any-return]


def _moment(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("`run_at` has no time zone: write datetime.now(UTC), or datetime(…, tzinfo=UTC)")
    return at
