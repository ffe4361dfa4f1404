"""Servers that tell callers apart, and the keys of their callers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support import Server, serving

from taskmill.http.auth import key_file
from taskmill.http.auth.caller import SCOPES, Scope

GUARDED = "app:router:middleware=keys"


def make_keys(data: Path) -> dict[str, str]:
    """Make a key of each scope; return them by that."""
    return {scope: make_key(data, scope) for scope in SCOPES}


def make_key(data: Path, *scopes: Scope, queues: Sequence[str] = (), actions: Sequence[str] = ()) -> str:
    return key_file.create(data / "keys.json", "test", scopes, queues=queues, actions=actions)


def bearer(key: str) -> dict[str, str]:
    """Return the header that a key is sent in."""
    return {"Authorization": f"Bearer {key}"}


@contextmanager
def guarded(
    data: Path, *arguments: str, directory: Path | None = None
) -> Iterator[tuple[Server, dict[str, str]]]:
    """Run a server that asks for keys, and give a key of each scope."""
    keys = make_keys(data)
    with serving(data, "-o", GUARDED, *arguments, directory=directory) as server:
        yield server, keys
