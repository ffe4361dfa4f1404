"""Testing one's own actions: the real engine in memory, stepped by hand, with a clock that can be moved.

With pytest the fixtures ``tasks``, ``clock``, ``assert_submitted`` and ``taskmill_app`` are there by themselves;
:func:`running` and :func:`serving` are the same without it. See docs/how-to/testing.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskmill.testing.clock import Clock
    from taskmill.testing.server import Application, serving
    from taskmill.testing.tasks import AssertSubmitted, Tasks, running

__all__ = ["Application", "AssertSubmitted", "Clock", "Tasks", "running", "serving"]

_MODULES = {"Clock": "clock", "Application": "server", "serving": "server"}


def __getattr__(name: str) -> object:
    """Import what is asked for: a test run that uses none of it should not pay for the engine."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'tasks')}"), name)
