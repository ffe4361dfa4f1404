"""What the shell offers at the Tab key: names that the server knows. Where none answers at once, nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from taskmill.client.blocking import Client

T = TypeVar("T")

PATIENCE = 1.0  # seconds: somebody waits at a prompt


def actions(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Offer names of actions, with the first line of what each does."""
    found = _ask(context, lambda client: client.actions())
    named = [(one.name, one.description.partition("\n")[0]) for one in found if one.name != "*"]
    return [(name, about) for name, about in named if name.startswith(incomplete)]


def queues(context: typer.Context, incomplete: str) -> list[str]:
    """Offer names of queues."""
    found = _ask(context, lambda client: client.queues())
    return [one.name for one in found if one.name.startswith(incomplete)]


def schedules(context: typer.Context, incomplete: str) -> list[str]:
    """Offer names of schedules."""
    found = _ask(context, lambda client: list(client.schedules()))
    return [one.name for one in found if one.name.startswith(incomplete)]


def _ask(context: typer.Context, what: Callable[[Client], list[T]]) -> list[T]:
    from taskmill.client.blocking import Client  # noqa: PLC0415 - not for every command
    from taskmill.client.errors import ClientError  # noqa: PLC0415

    url, token = (str(context.params.get(name) or "") for name in ("url", "token"))
    try:
        with Client(url, token=token, timeout=PATIENCE, retry_for=0) as client:
            return what(client)
    except ClientError:
        return []
