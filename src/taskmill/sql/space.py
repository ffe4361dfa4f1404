"""The space that a database takes."""

from __future__ import annotations

from typing import NamedTuple


class Space(NamedTuple):
    """A database in pages of ``page_size`` bytes."""

    page_size: int
    pages: int
    free: int  # of them hold nothing
    can_shrink: bool  # one that cannot uses its free pages again

    @property
    def used(self) -> int:
        """The bytes that hold something."""
        return (self.pages - self.free) * self.page_size
