"""Parts of an application for tests that need no registry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from taskmill.queue.drivers.base import Channel
from taskmill.registry import Entry
from taskmill.supervisor import Component, Context

P = TypeVar("P", bound=Component)


class DriverPart(Component, Protocol):
    """A driver as a part of an application."""

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> Channel: ...


def entry(kind: Callable[..., P], config: Any, **parts: Component) -> P:
    """Make a component of its config; ``parts`` are what else it may ask the application for."""
    made = Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, Path(), ())
    context = Context(
        {f"app:{name}": part for name, part in parts.items()}, _fail, data_dir=Path(), app_dir=Path()
    )
    return kind(made, context)


def _fail(part: str, error: BaseException) -> None:
    raise AssertionError(part) from error
