"""Another entry in the place of one: what a running application is started again for, in the same process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskmill.registry import Entry


@dataclass(slots=True, eq=False)
class Replacement:
    """An entry that takes the place of the one with its id, such as a database that holds the same tasks.

    Attributes:
        entry: it.
        switch: awaited when everything that depends on the old entry has stopped, and the old one still runs. What it
            raises is kept in ``error``, and the application goes on with the old entry.
        legacy: for parts of the application's next run, by their ids; see :meth:`Context.inherited`.
        held: seconds for which nobody was served; known once the application has started again.
    """

    entry: Entry[Any]
    switch: Callable[[], Awaitable[None]]
    legacy: Mapping[str, object] = field(default_factory=dict)
    error: Exception | None = None
    held: float | None = None
