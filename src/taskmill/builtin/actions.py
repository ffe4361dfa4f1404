"""The actions of the built-in application."""

from typing import Any

from taskmill import action


@action(inline=True)
def uppercase(text: str = "") -> str:
    """Write a text in capital letters."""
    return text.upper()


@action(name="sum", inline=True)
def sum_(numbers: list[int | float] = []) -> int | float:  # noqa: B006 - msgspec makes a fresh one each time
    """Add numbers up."""
    return sum(numbers)


@action(name="*", inline=True)
def other(data: Any, /) -> str:  # noqa: ARG001 - any data will do
    """Accept every other name, so that a newcomer can try anything."""
    return "processed"
