"""PromQL in tests: which metrics an expression asks for, and expressions as rules that promtool checks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def names_of(expression: str) -> set[str]:
    """Return the names of the metrics that an expression asks for."""
    return set(re.findall(r"\b(?:taskmill|process)_[a-z_]+\b", expression))


def rules_of(expressions: Iterable[str]) -> dict[str, Any]:
    """Return a file of rules, one for each expression."""
    rules = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(expressions)]
    return {"groups": [{"name": "asked", "rules": rules}]}
