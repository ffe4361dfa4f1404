"""One declared entry, and what the registry must know about a kind to read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from taskmill.registry.config import EntryConfig, ReferenceRule

C = TypeVar("C", bound=EntryConfig)


class KindSpec(Protocol):
    """What the registry needs of a kind: its name and the struct of its fields.

    A kind may also have a class method `check(entry) -> Iterable[Mistake]` for what types cannot say, such as
    a missing source file. It is called once the entry's own fields are right.
    """

    @property
    def kind(self) -> str:
        """The name that entries give in their field `kind`."""

    @property
    def Config(self) -> type[EntryConfig]:  # noqa: N802 - it is a class
        """The struct of the kind's fields."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of an entry that names another entry."""

    field: str  # its path: `queue`, `meta.router`, `lifecycle.depends_on[0]`
    target: str  # a whole id: `app:db`
    rule: ReferenceRule

    @property
    def attaches(self) -> bool:
        """Whether the entry plugs itself into the target, and so starts before it."""
        return self.rule.attaches


@dataclass(frozen=True)
class Entry(Generic[C]):
    """An entry as declared, its fields checked and converted, its references written out as whole ids."""

    id: str
    kind: str
    config: C
    file: Path
    line: int
    directory: Path  # absolute; `file://` sources are relative to it
    references: tuple[Reference, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)  # of each field, by path
