"""An action that this node lacks and another may have: what is known of its tasks stands in their rows."""

from __future__ import annotations

from taskmill.process.messages import FunctionRef
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Registered


def unknown() -> None:
    """Stand for a function that is not here. It is never called."""


UNKNOWN = Registered(Action(unknown), FunctionRef(__name__, "unknown", "", ""))
