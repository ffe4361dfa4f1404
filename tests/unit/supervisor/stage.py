"""An application of parts that note what is done to them and do what a test tells them."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from taskmill.registry import Entry, EntryConfig, Lifecycle, Reference, ReferenceRule, Registry
from taskmill.supervisor import Component, Context, Supervisor
from taskmill.units import dec_hook

Act = Callable[[], Awaitable[None]]


class Stage:
    """`needs` gives what each part depends on, and `attaches` what it plugs itself into."""

    def __init__(
        self,
        needs: Mapping[str, Sequence[str]],
        *,
        attaches: Mapping[str, Sequence[str]] | None = None,
        lifecycle: Mapping[str, Mapping[str, Any]] | None = None,
        start: Mapping[str, Act] | None = None,
        stop: Mapping[str, Act] | None = None,
        refuse: str = "",
    ) -> None:
        self.log: list[str] = []
        self._noted: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.contexts: dict[str, Context] = {}
        stage, starts, stops = self, start or {}, stop or {}

        class Part:
            kind: ClassVar[str] = "part"
            Config: ClassVar[type[EntryConfig]] = EntryConfig

            def __init__(self, entry: Entry[Any], context: Context) -> None:
                if entry.id == refuse:
                    raise ValueError("no such colour")
                self.id = entry.id
                stage.contexts[entry.id] = context

            async def start(self) -> None:
                stage.note(f"+{self.id}")
                await starts.get(self.id, nothing)()

            async def stop(self) -> None:
                stage.note(f"-{self.id}")
                await stops.get(self.id, nothing)()

        self.part: type[Component] = Part
        entries = {}
        for id_, targets in needs.items():
            config = msgspec.convert((lifecycle or {}).get(id_, {}), Lifecycle, dec_hook=dec_hook)
            references = [Reference("needs", target, ReferenceRule(("*",), False)) for target in targets]
            for target in (attaches or {}).get(id_, ()):
                references.append(Reference("meta.to", target, ReferenceRule(("*",), True)))
            entries[id_] = Entry(
                id_,
                "part",
                EntryConfig(name=id_, kind="part", lifecycle=config),
                Path("_index.yaml"),
                1,
                Path("/app"),
                tuple(references),
            )
        self.supervisor = Supervisor(Registry(Path("/app"), entries), {"part": Part}, Path("/data"))

    @property
    def states(self) -> dict[str, str]:
        return {id_: str(state) for id_, state in self.supervisor.states.items()}

    def note(self, what: str) -> None:
        """Write down that a part starts (`+a`) or stops (`-a`)."""
        self.log.append(what)
        self._noted[what].set()

    async def seen(self, what: str) -> None:
        """Wait until that is written down."""
        await self._noted[what].wait()


async def nothing() -> None:
    """Do nothing."""


async def hang() -> None:
    """Never end, unless cancelled."""
    await asyncio.Event().wait()


async def hang_on() -> None:
    """Never end, and ignore being cancelled once, as a badly written part does."""
    try:
        await hang()
    except asyncio.CancelledError:
        await hang()


def fails(message: str = "disk full") -> Act:
    """Return what raises an OSError."""

    async def fail() -> None:
        raise OSError(message)

    return fail


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run an async test; a deadline turns a hang into a failure."""

    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())
