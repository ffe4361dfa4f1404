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
    scheme, found, rest = url.rpartition("://")
    query = rest.find("?")
    if 0 <= query < rest.rfind("@"):  # a password with a question mark, or a query with an at sign
        rest = "…"
    address = rest.rpartition("@")[2].partition("?")[0].rstrip("/")
    return f"{scheme}{found}{address}"


def url_mistake(url: str, *schemes: str) -> str | None:
    """Return what is wrong with a URL, in words that do not show it, as it may hold a password."""
    try:
        parts = urlsplit(url)
        complete = parts.scheme in schemes and (parts.hostname or parts.scheme == "unix") and parts.port != 0
    except ValueError:
        complete = False
    if complete and "@" not in parts.path:
        return None
    allowed = ", ".join(f"`{scheme}://`" for scheme in schemes)
    return f"write {allowed} and `user:password@host:port`, with `%2F` for `/` in a password, and so on"
