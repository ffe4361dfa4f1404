"""The catalog: every action of an application, by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskmill.process.messages import FunctionRef
from taskmill.process.source import load_module
from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.action import ANY, Action
from taskmill.tasks.sealing.column import Unopened
from taskmill.tasks.work.isolated import ADAPTER

if TYPE_CHECKING:
    from taskmill.tasks.intake.completing import Completing
    from taskmill.tasks.notes.notes import Notes
    from taskmill.tasks.redacting.redaction import Redaction
    from taskmill.tasks.stepping.keeping import Keeping


OTHER = "other"  # what tasks are counted as whose action no name is declared for: there may be any number


class Registered:
    """An action in a catalog, with what running it often needs at hand."""

    __slots__ = (
        "action",
        "at_once",
        "completing",
        "elsewhere",
        "function",
        "keeping",
        "notes",
        "plain",
        "redaction",
        "seconds",
        "submits",
        "version",
    )

    def __init__(self, action: Action[Any, Any], function: FunctionRef) -> None:
        self.action = action
        self.plain = action.options.plain
        self.at_once = (
            action.inline and not action.options.batch
        )  # it runs as soon as a worker has a task of it
        self.function = function  # how a worker process finds it
        self.elsewhere = action.served_outside
        self.keeping: Keeping | None = None  # who keeps the steps of its tasks
        self.completing: Completing | None = None  # who stores what its tasks submit
        self.submits = False  # a task of it has submitted others
        self.notes: Notes | None = None  # where its tasks' progress and logs go
        self.redaction: Redaction | None = None  # which fields of its tasks are hidden
        self.version: int | None = None  # the number of its schema, which tasks are stored with
        self.seconds = 1.0  # that an isolated run takes, a moving average; slow until shown to be quick

    def waits_in(self, queue: str) -> bool:
        """Whether its tasks may be handed out in a queue: where workers outside serve it, only in its own."""
        return not self.elsewhere or queue == self.action.options.queue


class Catalog:
    """Finds the action for a task's name."""

    def __init__(self) -> None:
        self._actions: dict[str, Registered] = {}
        self._keeping: Keeping | None = None
        self._completing: Completing | None = None

    def load(self, sources: Iterable[str], directory: Path) -> None:
        """Add the actions that stand in sources.

        Raises:
            SourceError: a source cannot be imported.
            SupervisorError: two actions have one name.
        """
        for source in sources:
            for attribute, value in vars(load_module(source, directory)).items():
                if isinstance(value, Action):
                    self.add(value, FunctionRef(source, attribute, str(directory), ADAPTER))

    def declare(self, actions: Iterable[Action[Any, Any]]) -> None:
        """Add actions that workers outside serve; raise SupervisorError where another has the name of one."""
        for action in actions:
            self.add(action, FunctionRef(__name__, "", "", ""))

    def keep_steps(self, keeping: Keeping) -> None:
        """Have the steps of all tasks be kept."""
        self._keeping = keeping
        for registered in self._actions.values():
            registered.keeping = keeping

    def rank_all(self) -> None:
        """Have every task take a place of its own: there are no plain ones where several nodes share the rows."""
        for registered in self._actions.values():
            registered.plain = False

    def complete_by(self, completing: Completing) -> None:
        """Have what all tasks submit be stored with their results."""
        self._completing = completing
        for registered in self._actions.values():
            registered.completing = completing

    def note_to(self, notes: Notes) -> None:
        """Have the progress and the logs of all tasks go there."""
        for registered in self._actions.values():
            registered.notes = notes

    def find(self, name: str) -> Registered | None:
        """Return the action of that name, or the one that takes any name, or None."""
        found = self._actions.get(name)
        return self._actions.get(ANY) if found is None and not isinstance(name, Unopened) else found

    def label(self, name: str) -> str:
        """Return an action's name, or the one word for all that go by names of their own."""
        return name if name in self._actions and name != ANY else OTHER

    def names(self) -> list[str]:
        """Return every name, sorted."""
        return sorted(self._actions)

    def registered(self) -> list[Registered]:
        """Return all of them, as they are run."""
        return list(self._actions.values())

    def actions(self) -> list[Action[Any, Any]]:
        """Return every action, in the order of their names; the one that takes any name last."""
        found = [one.action for one in self._actions.values()]
        return sorted(found, key=lambda action: (action.name == ANY, action.name))

    def offered(self) -> list[Action[Any, Any]]:
        """Return those that can be submitted, in the same order."""
        return [action for action in self.actions() if not action.internal]

    def isolated(self) -> list[FunctionRef]:
        """Return the actions that run in worker processes."""
        return [
            one.function
            for one in self._actions.values()
            if not (one.action.inline or one.action.is_async or one.action.served_outside)
        ]

    def add(self, action: Action[Any, Any], function: FunctionRef) -> None:
        """Add an action, with how a worker process finds it; raise SupervisorError where another has its name."""
        known = self._actions.get(action.name)
        if known is not None and known.action is not action:
            raise SupervisorError(
                f"two actions are named `{action.name}`: rename one, or give it another `name=`"
            )
        registered = self._actions.setdefault(action.name, Registered(action, function))
        registered.keeping, registered.completing = self._keeping, self._completing
