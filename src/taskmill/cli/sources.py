"""The files that an application is made of: whether they have changed, and loading their modules anew."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from taskmill.process.source import FILE_SCHEME, load_module
from taskmill.registry import Registry
from taskmill.registry.files import INDEX, SKIPPED
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.service import TaskService

Stamp = tuple[int, int, int]  # when it was written, its size, and which file it is
Stamps = Mapping[str, Stamp]

_TASKMILL = Path(__file__).resolve().parents[1]
_INSTALLED = {"site-packages", "dist-packages"}
_STDLIB = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}


def own_modules() -> dict[str, ModuleType]:
    """Return the modules that are the application's: neither installed, nor Python's, nor Taskmill's."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and name != "__main__" and _is_own(file):
            found[name] = module
    return found


def stamps(directory: Path) -> Stamps:
    """Look at every file that may be a source: those in the directory and below, and all that is loaded."""
    files = set(_below(directory))
    files.update(str(module.__file__) for module in own_modules().values())
    found = {}
    for file in files:
        try:
            state = os.stat(file)
        except OSError:  # gone, or not yet there again: editors do that
            continue
        found[file] = (state.st_mtime_ns, state.st_size, state.st_ino)
    return found


def matters(file: str) -> bool:
    """Whether an application that runs is made of a file: its module is loaded, or it is a part of the registry."""
    return Path(file).name == INDEX or any(module.__file__ == file for module in own_modules().values())


def forget_modules() -> dict[str, ModuleType]:
    """Have the application's modules loaded anew by the next import; return them as they were."""
    taken = own_modules()
    for name in taken:
        del sys.modules[name]
    importlib.invalidate_caches()
    return taken


def bring_back(modules: Mapping[str, ModuleType]) -> None:
    """Take back what :func:`forget_modules` did, whatever has been loaded since."""
    forget_modules()
    sys.modules.update(modules)


def load_all(registry: Registry) -> None:
    """Import every source that an application's entries name.

    Raises:
        SourceError: one cannot be imported; it says in which file and line.
        SupervisorError: two actions have one name.
    """
    for entry in registry.entries.values():
        source = getattr(entry.config, "source", None)
        if isinstance(source, str) and _may_be_own(source):
            load_module(source, entry.directory)
        if entry.kind == TaskService.kind:
            Catalog().load(entry.config.actions, entry.directory)


def _may_be_own(source: str) -> bool:
    return source.startswith(FILE_SCHEME) or not source.startswith("taskmill.")


def _below(directory: Path) -> Iterator[str]:
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = [name for name in subfolders if not name.startswith(".") and name not in SKIPPED]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".py") or name == INDEX)


@cache
def _is_own(file: str) -> bool:
    path = Path(file)
    if not path.is_absolute() or _INSTALLED.intersection(path.parts):
        return False
    return not any(path.is_relative_to(place) for place in (_TASKMILL, *_STDLIB))
