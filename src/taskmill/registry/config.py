"""The fields that every entry has, and the marker that makes a text field a reference to another entry."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from taskmill.units import Duration

_EXTRA_KEY: Final = "taskmill.reference"


@dataclass(frozen=True, slots=True)
class ReferenceRule:
    """Which kinds a reference may point to, and which way the start order goes."""

    kinds: tuple[str, ...]
    attaches: bool

    def allows(self, kind: str) -> bool:
        """Tell whether an entry of `kind` may be referred to. `db.sql.*` stands for every kind below it."""
        return any(
            kind == pattern or (pattern.endswith("*") and kind.startswith(pattern[:-1]))
            for pattern in self.kinds
        )


def reference(*kinds: str, attaches: bool = False, description: str | None = None) -> Meta:
    """Mark a text field as the id of another entry: `Annotated[str, reference("queue.queue")]`.

    The entry starts after the one it refers to. With `attaches` it plugs itself into that one (a route into
    its server), and so starts before it.
    """
    rule = ReferenceRule(kinds or ("*",), attaches)
    return Meta(description=description, extra={_EXTRA_KEY: rule})


def reference_rule(meta: object) -> ReferenceRule | None:
    """Return the rule in a piece of `Annotated` metadata, if `reference` made it."""
    if isinstance(meta, Meta) and meta.extra is not None:
        rule = meta.extra.get(_EXTRA_KEY)
        return rule if isinstance(rule, ReferenceRule) else None
    return None


class Restart(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a process that failed is started again."""

    initial_delay: Annotated[Duration, Meta(description="Wait before the first restart.")] = Duration(1)
    max_delay: Annotated[Duration, Meta(description="The longest wait between two restarts.")] = Duration(30)
    backoff_factor: Annotated[
        float, Meta(ge=1, le=100, description="Each wait is this many times the one before.")
    ] = 2.0
    jitter: Annotated[
        float, Meta(ge=0, le=1, description="The share of a wait that is left to chance, either way.")
    ] = 0.1
    max_attempts: Annotated[
        int, Meta(ge=0, description="Restarts in a row before giving up; 0 is never to give up.")
    ] = 5


class Lifecycle(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """When an entry starts and stops."""

    auto_start: Annotated[
        bool,
        Meta(description="Start with the application, or only when a started entry refers to it."),
    ] = True
    start_timeout: Annotated[Duration, Meta(description="A longer start has failed.")] = Duration(10)
    stop_timeout: Annotated[Duration, Meta(description="A longer stop is given up.")] = Duration(10)
    stable_threshold: Annotated[
        Duration, Meta(description="A process that has run this long counts as started.")
    ] = Duration(1)
    depends_on: Annotated[
        list[Annotated[str, reference("*")]],
        Meta(description="Entries that must have started before, beyond those that other fields name."),
    ] = field(default_factory=list)
    restart: Annotated[Restart, Meta(description="How a process that failed is started again.")] = Restart()


class EntryConfig(Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields of every kind. A kind's `Config` extends it; its fields are the kind's schema."""

    name: Annotated[str, Meta(description="The name of the entry inside its namespace.")]
    kind: Annotated[str, Meta(description="What the entry is.")]
    # A mapping. Declared as Any so that a kind may narrow it to a struct of its own.
    meta: Annotated[Any, Meta(description="Free notes; some kinds read fields of it.")] = field(
        default_factory=dict
    )
    lifecycle: Annotated[Lifecycle, Meta(description="When the entry starts and stops.")] = Lifecycle()
