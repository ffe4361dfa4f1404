"""The registry: what `_index.yaml` declares, checked and put in order. It knows no kind's code."""

from taskmill.registry.config import EntryConfig, Lifecycle, ReferenceRule, Restart, reference
from taskmill.registry.entry import Entry, KindSpec, Reference
from taskmill.registry.graph import Registry
from taskmill.registry.loader import load
from taskmill.registry.problems import Mistake, Problem, RegistryError, nearest, nearest_id

__all__ = [
    "Entry",
    "EntryConfig",
    "KindSpec",
    "Lifecycle",
    "Mistake",
    "Problem",
    "Reference",
    "ReferenceRule",
    "Registry",
    "RegistryError",
    "Restart",
    "load",
    "nearest",
    "nearest_id",
    "reference",
]
