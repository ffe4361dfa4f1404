"""The two clients are one: the same methods, with the same parameters and the same documentation."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from taskmill.client import AsyncClient, AsyncHandle, Client, Handle

PAIRS = [(Client, AsyncClient), (Handle, AsyncHandle)]


def methods(of: type[Any]) -> dict[str, Callable[..., Any]]:
    return {name: value for name, value in vars(of).items() if inspect.isfunction(value) and name[0] != "_"}


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_they_have_the_same_methods(blocking: type[Any], asynchronous: type[Any]) -> None:
    ours, theirs = methods(blocking), methods(asynchronous)
    assert ours.keys() == theirs.keys()
    for name, method in ours.items():
        other = theirs[name]
        assert inspect.signature(method).parameters == inspect.signature(other).parameters, name
        assert inspect.getdoc(method) == inspect.getdoc(other), name
        assert inspect.iscoroutinefunction(other) or inspect.isasyncgenfunction(other), name
