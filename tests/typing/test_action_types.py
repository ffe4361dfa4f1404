"""What a user's editor and type checker know of `@action`."""

import re
from pathlib import Path

from mypy import api

SUBJECT = Path(__file__).with_name("action_types.py")
EXPECTED = re.compile(r"^(?P<code>\S.*\))  # (?P<answer>.+)$")
ANSWER = re.compile(r"^[^:]+:(?P<line>\d+): (?P<kind>note|error): (?P<text>.*)$")


def test_an_action_keeps_the_signature_of_its_function() -> None:
    lines = SUBJECT.read_text().splitlines()
    expected = {
        number: match["answer"] for number, line in enumerate(lines, 1) if (match := EXPECTED.match(line))
    }
    assert len(expected) == 9
    output, errors, _ = api.run(["--strict", "--config-file=", str(SUBJECT)])
    assert not errors
    answers: dict[int, str] = {}
    for match in filter(None, map(ANSWER.match, output.splitlines())):
        line, text = int(match["line"]), match["text"]
        if match["kind"] == "error":
            answers[line] = f"error: {text.rpartition('[')[2].rstrip(']')}"
        elif revealed := re.fullmatch(r'Revealed type is "(?:taskmill\.tasks\.actions\.action\.)?(.*)"', text):
            answers[line] = revealed[1]
    assert answers == expected, output
