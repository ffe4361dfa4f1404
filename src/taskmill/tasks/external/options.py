"""What entries may declare of an action without a function."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from taskmill.registry import EntryConfig
from taskmill.tasks.actions.options import Declared, OverLimit
from taskmill.units import Duration


class DeclaredActionConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Its data, for people and for checking, and how its tasks are run."""

    schema: Annotated[dict[str, Any], Meta(description="The JSON Schema of `data`; `{}` takes anything.")] = (
        field(default_factory=dict)
    )
    result: Annotated[
        dict[str, Any], Meta(description="The JSON Schema of what comes back; for readers, not checked.")
    ] = field(default_factory=dict)
    description: Annotated[str, Meta(description="What it does, for people.")] = ""
    max_attempts: Annotated[int, Meta(ge=1, le=1_000, description="How often a task may be started.")] = 3
    backoff: Annotated[
        list[Duration] | Literal["exponential"],
        Meta(description="The rests between attempts, the last one again and again."),
    ] = "exponential"
    timeout: Annotated[Duration | None, Meta(description="How long an attempt may take at most.")] = None
    expires_in: Annotated[
        Duration | None, Meta(description="A task fails with `expired` if it has not begun by then.")
    ] = None
    priority: Annotated[int, Meta(ge=0, le=9, description="Higher goes first.")] = 0
    rate_limit: Annotated[str | None, Meta(description="How often tasks start: `100/s`, `3/10s`.")] = None
    concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="How many run at once, wherever.")
    ] = None
    concurrency_key: Annotated[
        str | None, Meta(description="The place in the data of what has a limit of its own: `data.customer`.")
    ] = None
    over_limit: Annotated[OverLimit, Meta(description="What becomes of a task over its limit.")] = "wait"
    fair_key: Annotated[
        str | None, Meta(description="The place in the data of who takes turns: `data.customer`.")
    ] = None
    index: Annotated[
        list[str], Meta(description="Places in the data by which tasks are found: `[data.customer]`.")
    ] = field(default_factory=list)

    callback: Annotated[
        str | None,
        Meta(description="A URL that is told how each of its tasks has ended; see `task.webhooks`."),
    ] = None

    def declared(self, queue: str) -> Declared:
        """Return the same as options of an action whose tasks wait in the queue of this name."""
        backoff = self.backoff if isinstance(self.backoff, str) else [float(rest) for rest in self.backoff]
        return {
            "queue": queue,
            "max_attempts": self.max_attempts,
            "backoff": backoff,
            "timeout": self.timeout,
            "expires_in": self.expires_in,
            "priority": self.priority,
            "rate_limit": self.rate_limit,
            "concurrency": self.concurrency,
            "concurrency_key": self.concurrency_key,
            "over_limit": self.over_limit,
            "fair_key": self.fair_key,
            "index": self.index,
            "callback": self.callback,
        }
