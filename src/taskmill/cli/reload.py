"""``run --reload``: sees that an application's files have changed, and loads them before the old ones are let go."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import ModuleType

from taskmill.cli import sources
from taskmill.process import kept
from taskmill.process.source import SourceError
from taskmill.registry import Registry, RegistryError
from taskmill.supervisor import SupervisorError

logger = logging.getLogger("taskmill")

LOOK = 0.1  # seconds between looks at the files
SHARE = 20  # a look that takes long is followed by a rest of so many times that
SETTLE = 0.03  # seconds in which nothing may be written any more: an editor writes a file in pieces


class Reload:
    """What ``--reload`` does. ``read`` reads the registry anew, and raises RegistryError."""

    def __init__(self, registry: Registry, read: Callable[[], Registry]) -> None:
        # Python takes a compiled file for that of a source of the same second and size.
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # for worker processes
        self._directory = registry.directory
        self._read = read
        self._broken = False
        self._before: Mapping[str, ModuleType] = {}
        self._temporary = TemporaryDirectory(prefix="taskmill-")
        self._place = Path(self._temporary.name, "sources")
        self._kept = self._former = b""
        self._stamps = sources.stamps(self._directory)
        with suppress(SourceError, SupervisorError):  # the start will say it
            sources.load_all(registry)
        self._keep()

    async def following(self) -> Registry:
        """Wait until the files have changed and can be loaded; return the registry. What is broken is reported."""
        while True:
            changed = await self._change()
            logger.info("%s changed: loading anew", ", ".join(map(self._name, changed)))
            before = sources.forget_modules()
            try:
                registry = self._read()
                sources.load_all(registry)
            except (RegistryError, SourceError, SupervisorError) as error:
                sources.bring_back(before)
                self._broken = True
                logger.error("not loaded, and what runs goes on:\n%s", error)  # noqa: TRY400 - it has its place
            else:
                self._broken = False
                self._before = before
                self._keep()
                return registry

    def take_back(self) -> None:
        """Go back to the modules of before: the application did not start with the new ones."""
        sources.bring_back(self._before)
        kept.keep(self._former, self._place)
        self._broken = True

    def _keep(self) -> None:
        """Keep what has been loaded for the worker processes, and what was kept before for :meth:`take_back`."""
        files = [str(module.__file__) for module in sources.own_modules().values()]
        self._former, self._kept = self._kept, kept.read(files)
        kept.keep(self._kept, self._place)

    async def _change(self) -> list[str]:
        """Wait until files have changed that matter, and nothing is written any more; return which."""
        rest = LOOK
        while True:
            await asyncio.sleep(rest)
            began = perf_counter()
            seen = await asyncio.to_thread(sources.stamps, self._directory)
            rest = max(LOOK, SHARE * (perf_counter() - began))
            changed = self._differing(seen)
            if not changed:
                continue
            while True:
                await asyncio.sleep(SETTLE)
                again = await asyncio.to_thread(sources.stamps, self._directory)
                if again == seen:
                    break
                seen = again
            self._stamps = seen
            relevant = changed if self._broken else [file for file in changed if sources.matters(file)]
            if relevant:
                return relevant

    def _differing(self, seen: sources.Stamps) -> list[str]:
        known = self._stamps
        return sorted(file for file in {*seen, *known} if seen.get(file) != known.get(file))

    def _name(self, file: str) -> str:
        path = Path(file)
        return str(path.relative_to(self._directory) if path.is_relative_to(self._directory) else path)
