"""Values as text of a statement: what is a value stays one."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.sql.mysql_text import literal, placed, write


class Colour(IntEnum):
    RED = 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"), (True, "1"), (False, "0"), (-5, "-5"), (2**70, str(2**70)), (Colour.RED, "7"), (1.5, "1.5"),
        ("", "''"), ("it's", "'it''s'"), ("\\", "'\\'"), ("\\' OR 1 --", "'\\'' OR 1 --'"), ("%s %%", "'%s %%'"),
        (b"", "x''"), (b"'\x00\xff", "x'2700ff'"), (Decimal("1.50"), "1.50"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "'2026-01-02 03:04:05.000006'"),
        (date(2026, 1, 2), "'2026-01-02'"),
    ],
)  # fmt: skip
def test_values(value: object, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), [1], {"a": 1}])
def test_what_is_no_value_of_a_column_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        literal(value)


@given(st.text())
def test_a_text_ends_at_its_last_quote_only(value: str) -> None:
    text = literal(value)
    assert text[0] == text[-1] == "'"
    inner = text[1:-1]
    assert inner.replace("''", "") == value.replace("'", "")
    assert inner.replace("''", "'") == value


def test_values_stand_in_their_places_whatever_is_in_them() -> None:
    assert write("a = %s AND b LIKE '5%%' AND c = %s", ["%s", 2]) == "a = '%s' AND b LIKE '5%' AND c = 2"
    assert write("SELECT 1", []) == "SELECT 1"
    assert placed(3) == "%s, %s, %s"


@pytest.mark.parametrize("values", [[], [1, 2, 3]])
def test_the_number_of_values_must_be_right(values: list[int]) -> None:
    with pytest.raises(TypeError, match="for 2 parameters"):
        write("a = %s AND b = %s", values)
