"""What an action declares about its tasks, read and checked once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from taskmill.tasks.actions.retrying import Backoff
from taskmill.tasks.callback.asked import Callback, read
from taskmill.units import parse_duration

Errors = type[BaseException] | tuple[type[BaseException], ...]
OverLimit = Literal["wait", "drop_newest", "cancel_running"]
Twice = Literal["return", "replace", "refuse"]

BATCH_MOST = 10_000  # tasks

_RATE = re.compile(r"([0-9]{1,6})/([0-9]{0,6})(s|m|h|d)")
_PATH = re.compile(r"data(\.[^.\s]+)*")


def _positive(name: str, declared: object) -> float | None:
    if declared is None:
        return None
    seconds = parse_duration(declared)  # type: ignore[arg-type]
    if seconds <= 0:
        raise ValueError(f"`{name}` must be more than 0")
    return seconds


def _one_of(name: str, value: object, type_: object) -> None:
    if value not in get_args(type_):
        raise ValueError(f"`{name}` is one of {', '.join(get_args(type_))}")


def _path(name: str, value: str | None) -> None:
    if value is not None and not _PATH.fullmatch(value):
        raise ValueError(f"`{name}` names a place in the data, such as `data.customer`")


def _paths(declared: object) -> tuple[str, ...]:
    if isinstance(declared, str):
        raise TypeError(f"`index` is a list of paths: write index=[{declared!r}]")
    paths = tuple(declared)  # type: ignore[arg-type,var-annotated]
    for path in paths:
        _path("index", path)
        if path == "data" or len(path) > 200:
            raise ValueError(
                "`index` names places in the data of up to 200 characters, such as `data.customer`"
            )
    return paths


class DeclaredAlone(TypedDict, total=False):
    """The options of :func:`taskmill.action` for a function of one task, as they are written."""

    queue: str
    inline: bool
    max_attempts: int
    backoff: Backoff | str | float | Sequence[str | float]
    timeout: str | float | None
    expires_in: str | float | None
    retry_on: Errors
    no_retry_on: Errors
    priority: int
    rate_limit: str | None
    concurrency: int | None
    concurrency_key: str | None
    over_limit: OverLimit
    fair_key: str | None
    unique: Unique | Twice | None
    index: Sequence[str]
    upgrade: Callable[[Any], Any] | None
    callback: str | Mapping[str, Any] | None


class Declared(DeclaredAlone, total=False):
    """All options, those of a function of many tasks, too."""

    batch: int | None
    batch_wait: str | float


@dataclass(frozen=True, slots=True)
class Unique:
    """When two tasks of an action are the same one.

    They are if they have the same key: the one that was submitted with them, or else what stands in their data
    at ``key``, such as `"data.customer"` (or `"data"`: all of it). ``over`` says which tasks count: those that
    have not started (`waiting`), or not ended (`unfinished`), or, with a window ``within``, any that was
    submitted so long ago at most. ``twice`` says what becomes of the second: the first's id is returned, its
    data replaces the first's, or it is refused.
    """

    twice: Twice = "return"
    key: str | None = None
    over: Literal["waiting", "unfinished"] = "waiting"
    within: str | float | None = None

    def __post_init__(self) -> None:
        """Check the fields; raise ValueError."""
        _one_of("unique", self.twice, Twice)
        _path("unique", self.key)
        if self.over not in ("waiting", "unfinished"):
            raise ValueError("`over` is `waiting` or `unfinished`")
        if self.within is not None:
            parse_duration(self.within)
            if self.twice == "replace":
                raise ValueError("with `within` the first may have ended, and cannot be replaced")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts in any ``seconds``."""

    count: int
    seconds: float

    @classmethod
    def of(cls, declared: str) -> Rate:
        """Read `100/s`, `5/m` or `3/10s`; raise ValueError."""
        match = _RATE.fullmatch(declared)
        if match is None or not int(match[1]):
            raise ValueError(f"`rate_limit` {declared!r} is no rate: write `100/s`, `5/m`, `3/10s`")
        return cls(int(match[1]), parse_duration((match[2] or "1") + match[3]))


@dataclass(frozen=True, slots=True)
class Options:
    """What an action declares, checked. Durations are in seconds."""

    queue: str = ""
    inline: bool = False
    max_attempts: int = 3
    backoff: Backoff = Backoff()  # noqa: RUF009 - frozen
    timeout: float | None = None
    expires_in: float | None = None
    retry_on: Errors = BaseException
    no_retry_on: Errors = ()
    priority: int = 0
    rate: Rate | None = None
    concurrency: int | None = None
    concurrency_key: str | None = None
    over_limit: OverLimit = "wait"
    fair_key: str | None = None
    unique: Unique = Unique()
    index: tuple[str, ...] = ()
    upgrade: Callable[[Any], Any] | None = None
    batch: int | None = None
    batch_wait: float = 0.05
    callback: Callback | None = None

    @classmethod
    def of(cls, declared: Declared) -> Options:
        """Read what an action declares; raise ValueError with what is wrong."""
        values = dict(declared)
        rate = values.pop("rate_limit", None)
        unique = values.pop("unique", None)
        timeout, expires_in = values.pop("timeout", None), values.pop("expires_in", None)
        if "batch_wait" in values:
            if values.get("batch") is None:
                raise ValueError("`batch_wait` needs a `batch` to wait for: write `batch=100`")
            values["batch_wait"] = parse_duration(values["batch_wait"])  # type: ignore[arg-type]
        values["index"] = _paths(values.get("index", ()))
        if values.get("callback") is not None:
            values["callback"] = read(values["callback"])
        options = cls(
            backoff=Backoff.of(values.pop("backoff", "exponential")),  # type: ignore[arg-type]
            rate=None if rate is None else Rate.of(str(rate)),
            unique=unique if isinstance(unique, Unique) else Unique(unique or "return"),  # type: ignore[arg-type]
            timeout=_positive("timeout", timeout),
            expires_in=_positive("expires_in", expires_in),
            **values,  # type: ignore[arg-type]
        )
        options._check()
        return options

    @property
    def limited(self) -> bool:
        """Whether its tasks count against a limit."""
        return self.rate is not None or self.concurrency is not None

    @property
    def plain(self) -> bool:
        """Whether its tasks need nothing but a place at the end of the service's own queue."""
        return not (
            self.queue
            or self.priority
            or self.limited
            or self.fair_key
            or self.expires_in
            or self.unique.key
            or self.index
            or self.callback
        )

    def retries(self, error: BaseException) -> bool:
        """Whether an attempt that ended with this error may be followed by another."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.no_retry_on)

    def _check(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("`max_attempts` must be at least 1")
        if not 0 <= self.priority <= 9:
            raise ValueError("`priority` is a number from 0 to 9; 9 goes first")
        if self.concurrency is not None and self.concurrency < 1:
            raise ValueError("`concurrency` must be at least 1")
        _one_of("over_limit", self.over_limit, OverLimit)
        _path("concurrency_key", self.concurrency_key)
        _path("fair_key", self.fair_key)
        if self.concurrency_key is not None and not self.limited:
            raise ValueError("`concurrency_key` needs a `concurrency` or a `rate_limit` to apply to")
        if self.batch is not None and not 1 <= self.batch <= BATCH_MOST:
            raise ValueError(f"`batch` is a number of tasks from 1 to {BATCH_MOST:,}")
        if self.batch and self.concurrency and not self.concurrency_key and self.concurrency < self.batch:
            raise ValueError(
                f"`concurrency` counts tasks: with {self.concurrency} a batch of {self.batch} is never full"
            )
        if self.inline and self.timeout is not None:
            raise ValueError("an inline action cannot be stopped; leave `inline` out to give it a `timeout`")
