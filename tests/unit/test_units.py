"""Durations and sizes."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.units import Duration, Size, dec_hook, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("100ms", 0.1), ("5s", 5), ("1.5s", 1.5), ("1m", 60), ("2h", 7200), ("7d", 604800), (0, 0), (2.5, 2.5)],
)
def test_duration(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "-5s", "5 s", "5S", "1h30m", "1e9s", "٣s", "9" * 400 + "s", "5s\n"],
)
def test_text_that_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write `100ms`"):
        parse_duration(text)


@pytest.mark.parametrize("number", [-1, -0.1, float("inf"), float("nan"), True, 10**400])
def test_number_that_is_no_duration(number: float) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(number)


@pytest.mark.parametrize(("text", "size"), [("512B", 512), ("64KiB", 65536), ("1MiB", 2**20), (0, 0), (7, 7)])
def test_size(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "1", "1MB", "1 MiB", "1.5MiB", "-1B", -1, True, 10**400, "9" * 15 + "TiB"]
)
def test_what_is_no_size(text: str | int) -> None:
    with pytest.raises(ValueError, match="is not a size: write `512B`"):
        parse_size(text)


def test_messages_show_what_was_written_but_not_all_of_it() -> None:
    with pytest.raises(ValueError, match=r"^`5 parsecs` is not a duration: .* or a number of seconds$"):
        parse_duration("5 parsecs")
    with pytest.raises(ValueError, match=r"^`x{40}…` is not a size: "):
        parse_size("x" * 10_000)


@given(st.text())
def test_any_text_is_parsed_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0


@given(st.integers(0, 10**9))
def test_a_duration_of_whole_milliseconds_reads_back_what_it_shows(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert parse_duration(str(duration)) == pytest.approx(duration)


@given(st.integers(0, 10**14))
def test_a_size_reads_back_what_it_shows(size: int) -> None:
    assert parse_size(str(Size(size))) == size


def test_a_duration_shows_as_one_would_write_it() -> None:
    assert [str(Duration(seconds)) for seconds in (0, 0.1, 1.5, 5, 90, 120, 7200, 172800)] == [
        "0s", "100ms", "1.5s", "5s", "90s", "2m", "2h", "2d",
    ]  # fmt: skip
    assert f"{Duration(60)} {Size(2**20)} {Size(1000)}" == "1m 1MiB 1000B"


class Limits(msgspec.Struct):
    wait: Duration
    body: Size


def test_fields_of_structs_are_decoded() -> None:
    limits = msgspec.convert({"wait": "100ms", "body": "64KiB"}, Limits, dec_hook=dec_hook)
    assert limits == Limits(Duration(0.1), Size(65536))
    with pytest.raises(msgspec.ValidationError, match=r"`soon` is not a duration: .* - at `\$.wait`"):
        msgspec.convert({"wait": "soon", "body": 1}, Limits, dec_hook=dec_hook)


def test_other_types_are_not_its_business() -> None:
    with pytest.raises(NotImplementedError, match="complex"):
        dec_hook(complex, 1)
