"""What every kind's class looks like, and what it may ask of the application around it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from taskmill.registry import Entry, EntryConfig, nearest_id
from taskmill.supervisor.replacement import Replacement

T = TypeVar("T")


class SupervisorError(Exception):
    """The application cannot do what was asked of it."""


class Hopeless(SupervisorError):
    """Trying again would change nothing: a process that ends with this is given up at once."""


class Component(Protocol):
    """One running part of the application: the class behind a kind.

    The supervisor calls everything on its event loop. `start` is called at most once. `stop` may be called
    when `start` never was, when it failed or was cancelled half-way, and more than once: it must then do no
    harm.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[EntryConfig]]

    def __init__(self, entry: Entry[Any], context: "Context") -> None:
        """Keep the configuration. No I/O, and no look-up of other parts: they may not exist yet."""

    async def start(self) -> None:
        """Begin to work, and return when the parts that depend on this one may start.

        Parts that this one refers to have started. Those that it attaches itself to exist, but start later.
        """

    async def stop(self) -> None:
        """Finish what runs and let go of everything. The parts that depend on this one have stopped."""


class Context:
    """The application as its parts see it."""

    def __init__(
        self,
        components: Mapping[str, Component],
        on_failure: Callable[[str, BaseException], None],
        *,
        data_dir: Path,
        app_dir: Path,
        entries: Mapping[str, Entry[Any]] | None = None,
        on_replacement: Callable[[Replacement], None] = lambda _: None,
        legacy: Mapping[str, object] | None = None,
    ) -> None:
        self._components = components
        self._on_failure = on_failure
        self._on_replacement = on_replacement
        self._legacy = legacy or {}
        self.entries = entries or {}  # as declared, by id
        self.states: Mapping[str, str] = {}  # what each is doing: a supervisor's `State`
        self.data_dir = data_dir  # where databases and state are kept
        self.app_dir = app_dir  # where the application's registry stands

    def get(self, id: str, type_: type[T]) -> T:  # noqa: A002 - it is called an id everywhere
        """Return the part with that id; raise SupervisorError if there is none or it is no `type_`."""
        component = self._components.get(id)
        if component is None:
            near = nearest_id(id, self._components)
            raise SupervisorError(f"no entry `{id}`" + (f"; did you mean `{near}`?" if near else ""))
        if not isinstance(component, type_):
            raise SupervisorError(f"entry `{id}` is a `{component.kind}`, not a {type_.__name__}")
        return component

    def every(self, type_: type[T]) -> dict[str, T]:
        """Return all parts that are a ``type_``, by their ids."""
        return {id_: part for id_, part in self._components.items() if isinstance(part, type_)}

    def fail(self, entry_id: str, error: BaseException) -> None:
        """Report that a running part cannot go on. The whole application stops and exits with 1."""
        self._on_failure(entry_id, error)

    def replace(self, replacement: Replacement) -> None:
        """Ask for the whole application to be started again in this process, with another entry in place of one."""
        self._on_replacement(replacement)

    def inherited(self, id: str) -> object | None:  # noqa: A002 - it is called an id everywhere
        """Return what the application's run before this one has left for the part with that id, if anything."""
        return self._legacy.get(id)
