"""docs/lifecycle.md draws the steps that there are, and the table beside it tells who causes each."""

import re
from pathlib import Path

from taskmill.tasks.lifecycle import ENDED, STEPS, WAITING, Status

PAGE = (Path(__file__).parents[3] / "docs" / "lifecycle.md").read_text()
Arrow = tuple[str, str, str]  # from, to, step


def drawn() -> list[Arrow]:
    picture = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", PAGE, re.S)
    assert picture
    lines = picture[1].strip().splitlines()
    matches = [re.fullmatch(r"\s*(\S+) --> (\S+): (\w+)", line) for line in lines]
    assert all(matches), "a line that is no arrow"
    return [(match[1], match[2], match[3]) for match in matches if match]


def declared() -> list[Arrow]:
    return [
        (source, step.target.word, name)
        for name, step in STEPS.items()
        for source in ([source.word for source in step.sources] or ["[*]"])
    ]


def test_the_picture_has_every_step_once_and_no_other() -> None:
    assert sorted(drawn()) == sorted(declared())


def test_the_table_names_each_step_and_who_causes_it() -> None:
    table = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.M)
    assert dict(table) == {name: step.by for name, step in STEPS.items()}
    assert [name for name, _ in table] == list(STEPS)


def test_every_state_is_reached_and_every_state_but_completed_can_be_left() -> None:
    assert {step.target for step in STEPS.values()} == set(Status)
    left = {source for step in STEPS.values() for source in step.sources}
    assert set(Status) - left == {Status.COMPLETED}
    assert set(WAITING) | {Status.RUNNING} | set(ENDED) == set(Status)
