"""Sources that are kept: a worker process loads what its parent has loaded, whatever stands on the disk by now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path

import msgspec

PLACE = "TASKMILL_SOURCES"  # the environment's name for the file that holds them


def read(files: Iterable[str]) -> bytes:
    """Return the sources as they are now, for :func:`keep`."""
    found = {}
    for file in files:
        try:
            found[file] = Path(file).read_bytes()
        except OSError:  # it has gone since: a worker will say so
            continue
    return msgspec.msgpack.encode(found)


def keep(sources: bytes, place: Path) -> None:
    """Have worker processes that start from here on load these sources, which are kept in a file."""
    fresh = place.with_suffix(".new")
    fresh.write_bytes(sources)
    fresh.replace(place)
    os.environ[PLACE] = str(place)


def load_from(place: str) -> None:
    """In a worker process, import the sources that are kept in a file, and all others from where they are."""
    sources = msgspec.msgpack.decode(Path(place).read_bytes(), type=dict[str, bytes])
    of_disk = SourceFileLoader.get_data

    def get_data(self: SourceFileLoader, path: str) -> bytes:
        found = sources.get(path)
        return of_disk(self, path) if found is None else found

    SourceFileLoader.get_data = get_data  # type: ignore[method-assign,assignment]
