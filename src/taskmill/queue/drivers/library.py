"""What drivers of engines need beside the base install: their client libraries, and addresses without secrets."""

from __future__ import annotations

import importlib
from types import ModuleType
from urllib.parse import urlsplit

from taskmill.queue.errors import QueueError


def library(module: str, extra: str) -> ModuleType:
    """Import an engine's client library.

    Raises:
        QueueError: it is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("taskmill"):
            raise
        raise QueueError(f'it takes `{error.name}`: pip install "taskmill[{extra}]"') from None


def shown(url: str) -> str:
    """Return a URL as it may be shown: scheme, host, port and path, without user, password and query."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
