"""What a user's editor and type checker know of `@action`, and of a client."""

import re
from pathlib import Path

import pytest
from mypy import api

EXPECTED = re.compile(r"^(?P<code>\S.*\))  # (?P<answer>.+)$")
ANSWER = re.compile(r"^[^:]+:(?P<line>\d+): (?P<kind>note|error): (?P<text>.*)$")


@pytest.mark.parametrize(
    ("subject", "count"), [("action_types.py", 14), ("client_types.py", 18), ("testing_types.py", 4)]
)
def test_an_action_keeps_the_signature_of_its_function(subject: str, count: int) -> None:
    path = Path(__file__).with_name(subject)
    lines = path.read_text().splitlines()
    expected = {
        number: match["answer"] for number, line in enumerate(lines, 1) if (match := EXPECTED.match(line))
    }
    assert len(expected) == count
    output, errors, _ = api.run(["--strict", "--config-file=", str(path)])
    assert not errors
    answers: dict[int, str] = {}
    for match in filter(None, map(ANSWER.match, output.splitlines())):
        line, text = int(match["line"]), match["text"]
        if match["kind"] == "error":
            answers[line] = f"error: {text.rpartition('[')[2].rstrip(']')}"
        elif revealed := re.fullmatch(
            r'Revealed type is "(?:taskmill\.tasks\.actions\.action\.)?(.*)"', text
        ):
            answers[line] = revealed[1]
    assert answers == expected, output
