"""Read by mypy, never run: an action is called as the function it was. Comments say what mypy answers."""

from typing import Any, assert_type, reveal_type

from taskmill import action


@action
def uppercase(text: str = "") -> str:
    return text.upper()


@action(inline=True, max_attempts=5)
def total(numbers: list[int]) -> int:
    return sum(numbers)


@action
async def fetch(url: str, *, retries: int = 3) -> dict[str, Any]:
    return {url: retries}


reveal_type(uppercase)  # Action[[text: str =], str]
reveal_type(total)  # Action[[numbers: list[int]], int]
reveal_type(fetch)  # Action[[url: str, *, retries: int =], typing.Coroutine[Any, Any, dict[str, Any]]]
bare = action(name="x")
reveal_type(bare)  # def [P, R] (def (*P.args, **P.kwargs) -> R) -> taskmill.tasks.actions.action.Action[P, R]
assert_type(uppercase("x"), str)
assert_type(uppercase(text="x"), str)
assert_type(total([1]), int)
assert_type(uppercase.name, str)


async def use() -> None:
    assert_type(await fetch("u", retries=1), dict[str, Any])


uppercase(5)  # error: arg-type
uppercase("a", "b")  # error: call-arg
total()  # error: call-arg
action(nme="x")  # error: call-overload
action(5)  # error: call-overload


@action(batch=100, batch_wait="50ms")
def squares(items: list[int]) -> list[int]:
    return [item * item for item in items]


@action(batch=100, queue="mail")
async def send(items: list[dict[str, str]]) -> list[str | Exception]:
    return [item["to"] for item in items]


reveal_type(squares)  # BatchAction[int, int]
reveal_type(send)  # BatchAction[dict[str, str], str | Exception]
squares([1, 2])
squares.submit("x")  # error: arg-type
squares.submit([1])  # error: arg-type
reveal_type(squares.submit(3))  # taskmill.client.handle.Handle[int]
