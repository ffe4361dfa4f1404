"""An action inside a worker process: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskmill.tasks.actions import Action, encode_result

ADAPTER = f"{__name__}:adapt"


def adapt(action: Action[Any, Any]) -> Callable[[bytes], bytes]:
    """Return what a worker process calls with a task's JSON data, and which returns its JSON result."""

    def run(data: bytes) -> bytes:
        return encode_result(action.run(action.decode(data)))

    return run
