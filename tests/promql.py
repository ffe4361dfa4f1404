"""PromQL in tests: which metrics an expression asks for, and expressions as rules that promtool checks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from taskmill.tasks.metrics.families import FAMILIES

PROCESS = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds")


def names_of(expression: str) -> set[str]:
    """Return the names of the metrics that an expression asks for."""
    text = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b(?:taskmill|process)_[a-z_]+\b|\bup\b", text))


def names_of_families() -> set[str]:
    """Return the names that samples of `GET /metrics` have."""
    suffixes = ("_bucket", "_count", "_sum")
    own = {
        family.name + suffix
        for family in FAMILIES
        for suffix in (suffixes if family.kind == "histogram" else ("",))
    }
    return own | {f"process_{name}" for name in PROCESS} | {"up"}


def rules_of(expressions: Iterable[str]) -> dict[str, Any]:
    """Return a file of rules, one for each expression."""
    rules = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(expressions)]
    return {"groups": [{"name": "asked", "rules": rules}]}
