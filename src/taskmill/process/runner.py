"""Turning a `FunctionRef` into something that takes bytes and returns bytes, inside a worker process."""

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec import json, msgpack

from taskmill.logs import LogFormat, LogLevel, configure
from taskmill.process.messages import FunctionRef
from taskmill.process.source import load_attribute

Runner = Callable[[bytes], bytes]

# Where to import from, what to load, and how to log, if that is configured.
Prepared = tuple[list[str], list[FunctionRef], tuple[LogFormat, LogLevel] | None]


@cache
def runner(function: FunctionRef) -> Runner:
    """Load a function and wrap it in its adapter, once a process."""
    module, _, name = function.adapter.partition(":")
    adapt: Callable[[Any], Runner] = getattr(import_module(module), name)
    directory = Path(function.directory) if function.directory else None
    return adapt(load_attribute(function.source, function.method, directory))


def json_arguments(function: Callable[..., Any]) -> Runner:
    """Adapt a plain function: the payload is a JSON object of keyword arguments, the result is JSON."""
    return lambda payload: json.encode(function(**json.decode(payload)))


def unchanged(function: Runner) -> Runner:
    """Adapt a function that takes and returns bytes already."""
    return function


def prepare(payload: bytes) -> bytes:
    """Make this process able to import what its parent can, log as that does, and load functions before their calls."""
    sys.path[:], functions, logs = msgpack.decode(payload, type=Prepared)
    if logs is not None:
        configure(*logs)
    for function in functions:
        # One that cannot be loaded is reported to each call of it: the others may be fine.
        with suppress(Exception):
            runner(function)
    # Modules live as long as the process: the collector need never look at them again.
    gc.collect()
    gc.freeze()
    return b""


PREPARE = FunctionRef(__name__, prepare.__name__, "", f"{__name__}:{unchanged.__name__}")
