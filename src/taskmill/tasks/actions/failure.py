"""How an attempt failed, and whether its task may run again."""

from __future__ import annotations

import traceback
from typing import Any

import msgspec

from taskmill.tasks.actions.action import Action, ResultError
from taskmill.tasks.actions.retrying import Fail, Retry

TEXT_LIMIT = 10_000  # characters of an error's message or traceback that are kept


class Failure(msgspec.Struct, omit_defaults=True):
    """Why an attempt failed. ``final``: no retry; ``after``: seconds to rest, by the action's backoff if None."""

    type: str
    message: str
    traceback: str = ""
    final: bool = False
    after: float | None = None
    counts: bool = True


def failure_of(error: BaseException, action: Action[Any, Any]) -> Failure:
    """Describe what an action raised, and judge it by what the action declares."""
    try:
        message = str(error)
    except Exception:
        message = "an error that cannot be shown as text"
    if isinstance(error, Retry):
        return Failure("Retry", _bounded(message), after=error.after, counts=error.counts)
    trace = "".join(traceback.format_exception(error))
    final = isinstance(error, Fail | ResultError) or not action.options.retries(error)
    return Failure(_bounded(type(error).__qualname__), _bounded(message), _bounded(trace), final)


def timed_out(timeout: float | None) -> Failure:
    """Describe an attempt that took longer than its timeout, in seconds."""
    return Failure("timeout", f"it ran longer than its timeout of {timeout:g} s and was stopped")


def _bounded(text: str) -> str:
    """Keep of a text what can be stored: valid and not too long."""
    return text.encode("utf-8", "replace").decode()[:TEXT_LIMIT]
