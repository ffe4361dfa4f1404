"""`-o NAMESPACE:ENTRY:FIELD=VALUE`."""

import pytest
from registry_kinds import Load, Problems

APP = """
namespace: app
entries:
  - {name: db, kind: db.sql.sqlite, file: "${env:MISSING}", lifecycle: {start_timeout: 3s}}
  - {name: web, kind: http.service}
  - {name: q, kind: queue.queue, database: nowhere, delays: [1s]}
"""
RIGHT = ("app:db:file=:memory:", "app:q:database=db")


def test_values_win_over_the_file_and_over_its_mistakes(load_text: Load) -> None:
    entries = load_text(APP, RIGHT).entries
    assert entries["app:db"].config.file == ":memory:"
    assert entries["app:q"].config.database == "app:db"


def test_nested_fields_are_made(load_text: Load) -> None:
    overrides = (
        "app:web:limits.body=2MiB",
        "app:db:lifecycle.restart.max_attempts=9",
        "app:web:meta.a.b=true",
    )
    entries = load_text(APP, RIGHT + overrides).entries
    assert entries["app:web"].config.limits.body == 2 * 2**20
    assert entries["app:web"].config.meta == {"a": {"b": True}}
    assert entries["app:db"].config.lifecycle.restart.max_attempts == 9
    assert entries["app:db"].config.lifecycle.start_timeout == 3


def test_a_value_may_hold_what_separates(load_text: Load) -> None:
    assert load_text(APP, (*RIGHT, "app:web:addr=a=b:c")).entries["app:web"].config.addr == "a=b:c"


def test_digits_and_nothing_are_texts_where_a_text_is_wanted(load_text: Load) -> None:
    assert load_text(APP, (*RIGHT, "app:web:addr=8080")).entries["app:web"].config.addr == "8080"
    assert load_text(APP, (*RIGHT, "app:web:addr=")).entries["app:web"].config.addr == ""


def test_the_last_one_wins(load_text: Load) -> None:
    overrides = (*RIGHT, "app:web:addr=a", "app:web:addr=b")
    assert load_text(APP, overrides).entries["app:web"].config.addr == "b"


def test_a_kind_can_be_overridden(load_text: Load) -> None:
    text = "namespace: app\nentries: [{name: web, kind: teapot}]"
    assert load_text(text, ["app:web:kind=http.service"]).entries["app:web"].kind == "http.service"


FORM = "is no override: write NAMESPACE:ENTRY:FIELD=VALUE"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("", f"command line: `` {FORM}"),
        ("app:web:addr", f"command line: `app:web:addr` {FORM}"),
        ("app:web=1", f"command line: `app:web=1` {FORM}"),
        ("app:web:=1", f"command line: `app:web:=1` {FORM}"),
        ("app:web:a..b=1", f"command line: `app:web:a..b=1` {FORM}"),
        ("app:web:addr=\udcff", f"command line: `app:web:addr=\\udcff` {FORM}"),
        ("app:wbe:addr=1", "command line: no entry `app:wbe` to override; did you mean `app:web`?"),
        ("app:web:name=x", "command line: entry app:web: field `name`: a name cannot be overridden"),
        ("app:web:kind.x=1",
         "command line: entry app:web: field `kind.x`: leads into a value that has no fields"),
        ("app:web:adr=1", "command line: entry app:web: field `adr`: unknown field; did you mean `addr`?"),
        ("app:web:ratio=x", "command line: entry app:web: field `ratio`: expected number, got the text `x`"),
        ("app:web:limits=1", "command line: entry app:web: field `limits`: expected mapping, got `1`"),
        ("app:web:limits.x=1", "command line: entry app:web: field `limits.x`: unknown field"),
        ("app:db:file=${env:X}",
         "command line: entry app:db: field `file`: the environment variable `X` is not set: "
         "set it, or write `${env:X|default}`"),
        ("app:q:database=dbs",
         "command line: entry app:q: field `database`: no entry is named `app:dbs`; did you mean `app:db`?"),
    ],
)  # fmt: skip
def test_mistakes(problems: Problems, override: str, expected: str) -> None:
    assert problems(APP, [*RIGHT, override]) == [expected]
