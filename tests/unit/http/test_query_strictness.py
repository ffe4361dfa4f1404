"""Query strings: what is not known, or not once, or not of the type, is named."""

from contextlib import suppress
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.http import BadRequest, parse_query


class Query(msgspec.Struct):
    """What the tests ask for."""

    name: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5


@pytest.mark.parametrize(
    ("query", "name", "limit"),
    [(b"", None, 5), (b"limit=7", None, 7), (b"name=", "", 5), (b"name=a+b%26c&limit=1", "a b&c", 1),
     (b"name=%F0%9F%98%80", "\U0001f600", 5), (b"&&limit=2&", None, 2), (b"name=a;b", "a;b", 5)],
)  # fmt: skip
def test_parameters_are_read(query: bytes, name: str | None, limit: int) -> None:
    assert parse_query(query, Query) == Query(name, limit)


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        (b"nmae=x", [("nmae", "unknown parameter; did you mean `name`?")]),
        (b"x=1&y=2", [(name, "unknown parameter; known are name, limit") for name in "xy"]),
        (b"name=a&name=b", [("name", "given twice")]),
        (b"limit=11", [("limit", "Expected `int` <= 10")]),
        (b"limit=1.5", [("limit", "Expected `int`, got `str`")]),
        (b"limit=%EF%BC%91", [("limit", "Expected `int`, got `str`")]),
    ],
)  # fmt: skip
def test_mistakes_are_named_all_at_once(query: bytes, errors: list[tuple[str, str]]) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_query(query, Query)
    assert [(error.path, error.message) for error in caught.value.errors] == errors


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(query: bytes) -> None:
    with suppress(BadRequest):
        parse_query(query, Query)
