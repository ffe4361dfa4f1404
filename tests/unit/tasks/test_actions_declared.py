"""Declaring actions: the signature is the schema, and what cannot be one is refused in words."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from taskmill.tasks.actions.action import (
    RESULT_LIMIT,
    Action,
    ActionError,
    ResultError,
    action,
    encode_result,
)


def run(declared: Action[Any, Any], data: bytes) -> Any:
    return declared.run(declared.decode(data))


def test_an_action_is_still_the_function() -> None:
    @action
    def double(number: int = 1) -> int:
        """Double it."""
        return number * 2

    assert double(4) == 8
    assert double(number=5) == 10
    assert (double.name, double.description, double.max_attempts) == ("double", "Double it.", 3)
    assert run(double, b"{}") == 2
    assert run(double, b'{"number":21}') == 42


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a":"1"}', "Expected `int`, got `str` - at `$.a`"),
        (b'{"b":1}', "unknown field `b`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"a":1,"c":-1}', ">= 0"),
        (b"{}", "missing required field `a`"),
    ],
)
def test_data_is_checked_against_the_signature(data: bytes, message: str) -> None:
    @action
    def function(a: int, *, c: Annotated[int, msgspec.Meta(ge=0)] = 0) -> None: ...

    with pytest.raises(
        msgspec.ValidationError, match="^.*" + message.replace("$", r"\$").replace(".a", r"\.a")
    ):
        function.decode(data)


def test_a_mutable_default_is_fresh_each_time() -> None:
    @action
    def collect(into: list[int] = [1]) -> list[int]:  # noqa: B006
        into.append(2)
        return into

    assert run(collect, b"{}") == [1, 2]
    assert run(collect, b"{}") == [1, 2]


def test_one_positional_parameter_takes_all_of_data() -> None:
    @action(name="*")
    def whole(data: Any, /) -> Any:
        return data

    assert run(whole, b"[1,null]") == [1, None]


def test_structs_and_dataclasses_are_built() -> None:
    @dataclass
    class Point:
        x: int
        y: int = 0

    def total(points: list[Point]) -> int:
        return sum(point.x + point.y for point in points)

    total.__annotations__ = {"points": list[Point], "return": int}
    assert run(Action(total), b'{"points":[{"x":1},{"x":2,"y":3}]}') == 6


def no_name(*numbers: int) -> None: ...
def no_name_either(**numbers: int) -> None: ...
def two_by_place(a: int, b: int, /) -> None: ...
def no_such_type(value: object) -> None: ...
def fine() -> None: ...
async def waits() -> None: ...
def many(items: list[int]) -> None: ...
def one(item: int) -> None: ...


no_such_type.__annotations__ = {"value": complex}


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (no_name, {}, "action no_name: parameter `*numbers: int` has no name in `data`"),
        (no_name_either, {}, "parameter `**numbers: int` has no name in `data`"),
        (two_by_place, {}, "one positional-only parameter that takes all of it"),
        (fine, {"name": "a\nb"}, "'a\\nb' cannot name an action: use up to 200 printable characters"),
        (fine, {"name": "a" * 201}, "cannot name an action"),
        (fine, {"max_attempts": 0}, "action fine: `max_attempts` must be at least 1"),
        (waits, {"inline": True}, "action waits: an `async def` runs on the loop anyway; leave `inline` out"),
        (
            one,
            {"batch": 2},
            "action one: with `batch` it takes one parameter, a list of what single tasks have",
        ),
        (fine, {"batch": 2}, "action fine: with `batch` it takes one parameter"),
        (many, {"batch": 0}, "action many: `batch` is a number of tasks from 1 to 10,000"),
        (many, {"batch_wait": "1s"}, "action many: `batch_wait` needs a `batch` to wait for"),
        (many, {"batch": 5, "concurrency": 4}, "counts tasks: with 4 a batch of 5 is never full"),
    ],
)
def test_what_cannot_be_an_action_is_refused(function: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ActionError) as caught:
        Action(function, **options)
    assert words in str(caught.value)


class Kept(msgspec.Struct):
    """A struct as a result."""

    value: object


@dataclass
class Held:
    """A dataclass as a result."""

    value: object


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("x", b'{"output":"x"}'),
        (None, b'{"output":null}'),
        (2**200, b'{"output":%d}' % 2**200),
        ({"a": [None, 1.5]}, b'{"a":[null,1.5]}'),
        ((1, (2,)), b'{"output":[1,[2]]}'),
        (Kept(1), b'{"value":1}'),
        (Held("x"), b'{"value":"x"}'),
        ({}, b"{}"),
    ],
)
def test_results_are_written(value: object, encoded: bytes) -> None:
    assert encode_result(value) == encoded


NAN = float("nan")


@pytest.mark.parametrize(
    "value",
    [NAN, -float("inf"), [NAN], {"a": {"b": (NAN,)}}, {NAN: 1}, Kept([NAN]), Held({"x": NAN}), {"a": Kept(NAN)}, {NAN},
     b"x", bytearray(b"x"), memoryview(b"x"), [{"a": b"x"}], {b"x": 1}, Kept(b"x"), Held([b"x"]),
     "\ud800", {"\ud800": 1}, object(), 1j, {(1, 2): 3}, "x" * RESULT_LIMIT],
    ids=lambda value: repr(value).partition(" at 0x")[0][:30].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ResultError, match=r"^the action returned "):
        encode_result(value)


def test_a_result_in_a_circle_is_refused() -> None:
    circle: list[Any] = [None]
    circle.append(circle)
    with pytest.raises(ResultError, match="recursion"):
        encode_result(circle)


def test_a_batch_action_has_the_data_and_the_result_of_one_task() -> None:
    @action(batch=3)
    def squares(items: list[int]) -> list[int | ValueError]:
        return [item * item for item in items]

    @action(batch=3)
    def bare(items):  # type: ignore[no-untyped-def]
        return items

    assert squares([2, 3]) == [4, 9]
    assert squares.decode(b"5") == 5
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `array`"):
        squares.decode(b"[5]")
    assert squares.result_type is int
    assert bare.decode(b'{"a": 1}') == {"a": 1}
    assert bare.result_type is Any
    assert msgspec.json.decode(squares.submission(7).body) == {"action": "squares", "data": 7}
