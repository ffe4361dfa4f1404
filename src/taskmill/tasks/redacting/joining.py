"""Where fields are hidden: all that shows tasks, and all that stores what attempts say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from taskmill.registry import Mistake
from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.action import Action
from taskmill.tasks.redacting.redaction import Redaction, flaw

if TYPE_CHECKING:
    from taskmill.tasks.service import TaskService


def path_flaws(paths: Sequence[str]) -> Iterator[Mistake]:
    """Find what is wrong with paths as they are declared."""
    for index, path in enumerate(paths):
        if wrong := flaw(path):
            yield Mistake(f"redact[{index}]", wrong)


def redact(tasks: TaskService, paths: Sequence[str]) -> None:
    """Have fields be hidden wherever tasks are shown.

    Raises:
        SupervisorError: an action declares what would show one.
    """
    if not paths:
        return
    redaction = Redaction(paths)
    for registered in tasks.catalog.registered():
        refuse_shown(redaction, registered.action)
        registered.redaction = redaction
    tasks.reader.redaction = tasks.external.leases.redaction = redaction
    tasks.waiters.redact(redaction)


def refuse_shown(redaction: Redaction, action: Action[..., object]) -> None:
    """Raise SupervisorError where an action declares what would show a hidden field."""
    options = action.options
    keys = {
        "index": options.index,
        "fair_key": (options.fair_key,),
        "concurrency_key": (options.concurrency_key,),
        "unique": (options.unique.key,),
    }
    for option, paths in keys.items():
        for path in paths:
            if path is not None and redaction.touches(path):
                raise SupervisorError(
                    f"action {action.name} declares `{option}` of `{path}`, which `redact` hides and this would show: "
                    "take another field"
                )
