"""What a node may be told to do alone."""

from __future__ import annotations

from enum import StrEnum


class Only(StrEnum):
    """The one thing that a node does."""

    HTTP = "http"
    WORKERS = "workers"
