"""What is wrong with a registry: every mistake at once, each with its place and the nearest right name."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

COMMAND_LINE: Final = "command line"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. A line of 0 is a mistake in no particular line."""

    file: str
    line: int
    entry: str | None
    field: str | None
    message: str
    hint: str | None = None  # the nearest right name

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        if self.entry is not None:
            text += f"entry {self.entry}: "
        if self.field is not None:
            text += f"field `{self.field}`: "
        text += self.message
        if self.hint:
            text += f"; did you mean `{self.hint}`?"
        # One line, whatever the file holds: no control character reaches the terminal or a log.
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


class Mistake(NamedTuple):
    """What a kind's own `check` finds: the registry adds the place."""

    field: str
    message: str
    hint: str | None = None


class RegistryError(Exception):
    """The registry cannot be used. `problems` holds every mistake, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))
        super().__init__("\n".join(map(str, self.problems)))


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` was most likely meant to be."""
    # Comparing grows with the square of the length; nobody misspells a name this long.
    if len(name) > 200:
        return None
    matches = get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return matches[0] if matches else None


def nearest_id(id_: str, candidates: Iterable[str]) -> str | None:
    """Return the entry that `id_` was most likely meant to be."""
    # What two ids share by standing in one namespace makes them no more alike.
    prefix = id_.partition(":")[0] + ":"
    near: list[str] = []
    far: list[str] = []
    for candidate in candidates:
        (near if candidate.startswith(prefix) else far).append(candidate)
    name = nearest(id_.removeprefix(prefix), (candidate.removeprefix(prefix) for candidate in near))
    return prefix + name if name is not None else nearest(id_, far)
