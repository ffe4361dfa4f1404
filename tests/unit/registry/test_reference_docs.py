"""The generated reference of kinds."""

from registry_kinds import ALL, Database, Router, Server

from taskmill.registry.reference_docs import reference_markdown


def test_a_kind_has_its_text_and_a_row_for_each_field() -> None:
    assert reference_markdown([Database]).split("## `db.sql.sqlite`")[1] == (
        "\n\nA database.\n\n"
        "| field | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `file` | text | required | Where it is kept. |\n"
        "| `cache` | size | `1MiB` | Memory \\| for pages. |\n"
        "| `mode` | `wal` or `delete` | `wal` |  |\n"
    )


def test_nested_fields_have_rows_of_their_own() -> None:
    text = reference_markdown([Server])
    assert "| `limits.body` | size | `1MiB` |  |" in text
    assert "| `lifecycle.restart.jitter` | number (at least 0, at most 1) | `0.1` |" in text


def test_a_kind_that_narrows_meta_shows_how() -> None:
    assert "| `meta.server` | id of a `http.service` | required |  |" in reference_markdown([Router])


def test_kinds_are_in_order() -> None:
    headings = [line for line in reference_markdown(ALL).splitlines() if line.startswith("## `")]
    assert headings == sorted(headings)
    assert len(headings) == len(ALL)
