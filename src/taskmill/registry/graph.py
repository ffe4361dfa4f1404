"""The order in which entries start, and circles in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Final

from taskmill.registry.entry import Entry, Reference

_MAX_CYCLES: Final = 20  # nobody mends more at once


@dataclass(frozen=True)
class Registry:
    """A whole application as declared, without mistakes."""

    directory: Path
    entries: Mapping[str, Entry[Any]]

    @cached_property
    def dependencies(self) -> Mapping[str, set[str]]:
        """What must have started before each entry."""
        return start_edges({entry.id: entry.references for entry in self.entries.values()})

    def start_order(self) -> list[list[Entry[Any]]]:
        """Return the entries in waves: those of one wave can start in parallel once the waves before have."""
        place = {id_: number for number, id_ in enumerate(self.entries)}
        sorter = TopologicalSorter(self.dependencies)
        sorter.prepare()
        waves = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready(), key=place.__getitem__)
            waves.append([self.entries[id_] for id_ in ready])
            sorter.done(*ready)
        return waves


def start_edges(references: Mapping[str, Iterable[Reference]]) -> dict[str, set[str]]:
    """Return what each entry waits for. References to what does not exist are left out."""
    edges: dict[str, set[str]] = {id_: set() for id_ in references}
    for id_, found in references.items():
        for reference in found:
            if reference.target not in edges:
                continue
            if reference.attaches:
                edges[reference.target].add(id_)
            else:
                edges[id_].add(reference.target)
    return edges


def find_cycles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return circles, each from an entry along what it waits for and back to itself; no entry is in two."""
    left = {id_: set(waits_for) for id_, waits_for in edges.items()}
    cycles: list[list[str]] = []
    while len(cycles) < _MAX_CYCLES:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1][1:]))
            first = circle.index(min(circle))
            circle = circle[first:] + circle[:first]
            cycles.append([*circle, circle[0]])
            left = {id_: waits_for - set(circle) for id_, waits_for in left.items() if id_ not in circle}
        else:
            break
    return cycles
