"""The supervisor: starts what the registry declares in dependency order, watches it and stops it."""

from taskmill.supervisor.component import Component, Context, Hopeless, SupervisorError
from taskmill.supervisor.replacement import Replacement
from taskmill.supervisor.restart import delays
from taskmill.supervisor.supervisor import StartError, State, Supervisor

__all__ = [
    "Component",
    "Context",
    "Hopeless",
    "Replacement",
    "StartError",
    "State",
    "Supervisor",
    "SupervisorError",
    "delays",
]
