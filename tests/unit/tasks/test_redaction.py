"""Fields that are hidden: which they are, and what is left of the rest."""

import json

import msgspec
import pytest

from taskmill import action
from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.notes.said import Said, progress_of
from taskmill.tasks.redacting.joining import path_flaws, refuse_shown
from taskmill.tasks.redacting.redaction import REDACTED, Redaction


@pytest.mark.parametrize(
    ("path", "data", "shown"),
    [
        ("data.card.number", {"card": {"number": "4111", "a": 1}}, {"card": {"number": REDACTED, "a": 1}}),
        ("data.card", {"card": {"number": "4111"}, "a": 1}, {"card": REDACTED, "a": 1}),
        ("data", {"card": 1}, REDACTED),
        ("data.cards.a", {"cards": [{"a": 1}, {"a": 2}, 3]}, {"cards": [{"a": REDACTED}, {"a": REDACTED}, 3]}),
        ("data.*.number", {"a": {"number": 1}, "b": {"number": None}, "number": 2},
         {"a": {"number": REDACTED}, "b": {"number": REDACTED}, "number": 2}),
        ("*.password", {"password": "x", "a": [{"b": {"password": ["y"]}}]},
         {"password": REDACTED, "a": [{"b": {"password": REDACTED}}]}),
        ("*.a.b", {"a": {"b": 1}, "x": {"a": {"b": 2, "a": {"b": 3}}}, "b": 4},
         {"a": {"b": REDACTED}, "x": {"a": {"b": REDACTED, "a": {"b": REDACTED}}}, "b": 4}),
        ("result.token", {"token": 1}, {"token": 1}),
        ("data.card.number", {"card": "4111", "Card": {"number": 1}}, {"card": "4111", "Card": {"number": 1}}),
        ("data.ключ", {"ключ": 1}, {"ключ": REDACTED}),
    ],
)  # fmt: skip
def test_what_is_shown(path: str, data: object, shown: object) -> None:
    hidden = Redaction([path]).data(msgspec.Raw(json.dumps(data).encode()))
    assert json.loads(bytes(hidden)) == shown


def test_what_has_nothing_to_hide_is_shown_byte_by_byte() -> None:
    raw = msgspec.Raw(b'{ "a": 1.0, "b": 1e5,\n"c": 12345678901234567890 }')
    assert bytes(Redaction(["*.password", "data.x"]).data(raw)) == bytes(raw)
    assert bytes(Redaction(["data"]).data(msgspec.Raw(b"null"))) == b"null"


def test_what_cannot_be_looked_at_is_not_shown() -> None:
    assert bytes(Redaction(["data.x"]).data(msgspec.Raw(b"{broken"))) == b'"[redacted]"'
    deep = msgspec.Raw(b'{"a":' * 900 + b"1" + b"}" * 900)
    assert json.loads(bytes(Redaction(["data.x"]).data(deep))) in (json.loads(bytes(deep)), REDACTED)


def test_texts_are_stored_without_the_values() -> None:
    redaction = Redaction(["data.card.number", "*.password"])
    data = json.dumps(
        {"card": {"number": 41111111}, "password": 'p"wörd\n', "pin": "1234", "x": [{"password": "abc"}]}
    )
    failure = Failure(
        "ValueError", 'card 41111111, p"wörd\n, 1234, abc', 'trace \'p"wörd\\n\' "p\\"w\\u00f6rd\\n"'
    )
    clean = redaction.failure(data, failure)
    assert (
        clean.message == f"card {REDACTED}, {REDACTED}, 1234, abc"
    )  # what is too short would be in any text
    assert clean.traceback == f"trace '{REDACTED}' \"{REDACTED}\""
    said = Said()
    said.add(progress_of(1, 2, "at 41111111"), [(5, "one 41111111"), (6, "two")], 3)
    clean_said = redaction.said(data, said)
    assert clean_said.progress is not None
    assert json.loads(clean_said.progress) == {"done": 1, "total": 2, "message": f"at {REDACTED}"}
    assert (list(clean_said.lines), clean_said.lost) == ([(5, f"one {REDACTED}"), (6, "two")], 3)
    assert redaction.said("{}", said) is said


@pytest.mark.parametrize(
    "path", ["", "*", "card", "data.", "data..a", "data.a b", ".a", "dataa.b", "result.*.", "$.a"]
)
def test_what_is_no_path_is_a_mistake(path: str) -> None:
    ((field, message, *_),) = path_flaws(["data.ok", path])
    assert field == "redact[1]"
    assert "`*.password`" in message
    assert list(path_flaws(["data", "result.a.*", "*.b", "data.*.c"])) == []


@pytest.mark.parametrize(
    ("hidden", "path", "touched"),
    [
        ("data.card.number", "data.card.number", True),
        ("data.card.number", "data.card", True),
        ("data.card", "data.card.number", True),
        ("data.card.number", "data", True),
        ("data.card.number", "data.card.owner", False),
        ("*.number", "data.card.number", True),
        ("*.number", "data", True),
        ("*.number", "data.card.owner", False),
        ("data.*.number", "data.card.number", True),
        ("result.card", "data.card", False),
    ],
)
def test_what_is_shown_elsewhere_is_refused(hidden: str, path: str, touched: bool) -> None:
    assert Redaction([hidden]).touches(path) is touched

    @action(fair_key=path)
    def takes(card: dict[str, str]) -> None: ...

    if touched:
        with pytest.raises(SupervisorError, match=f"action takes declares `fair_key` of `{path}`"):
            refuse_shown(Redaction([hidden]), takes)
    else:
        refuse_shown(Redaction([hidden]), takes)


def test_an_action_without_keys_shows_nothing() -> None:
    def plain(card: str) -> None: ...

    refuse_shown(Redaction(["data"]), Action(plain))
