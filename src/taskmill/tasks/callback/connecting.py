"""Joins callbacks, where they are declared, to what submits tasks and what runs them again."""

from __future__ import annotations

from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.callback.again import Again
from taskmill.tasks.callback.asked import NEEDED
from taskmill.tasks.callback.callbacks import Callbacks
from taskmill.tasks.control.control import Control
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.rows.reader import Reader


def connect(
    callbacks: Callbacks | None,
    catalog: Catalog,
    placing: Placing,
    reader: Reader,
    intake: Intake,
    control: Control,
) -> None:
    """Have callbacks made; raise SupervisorError where an action declares one, and nothing says how it is sent."""
    if callbacks is not None:
        callbacks.open(catalog, placing, reader)
        control.again = Again(callbacks, intake)
        return
    for registered in catalog.registered():
        if registered.action.options.callback is not None:
            raise SupervisorError(f"action {registered.action.name} has a `callback`: {NEEDED}")
