"""The pages on priorities, limits and waiting are run: their applications are written, their requests are sent."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from apps import application
from readme_lines import ROOT, Example, curl
from support import Server, eventually, require, serving

PAGES = ROOT / "docs" / "how-to"


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text()


def write(name: str, directory: Path, text: str = "") -> Path:
    """Write the files that stand on a page, or in a text instead, over the built-in application."""
    application(directory, "")
    for language in ("python", "yaml"):
        for block in re.findall(rf"```{language}\n(.*?)```", text or page(name), re.S):
            file = re.match(r"# (\S+)\n", block)
            assert file
            (directory / file[1]).write_text(block)
    return directory


def send(name: str, server: Server) -> list[str]:
    """Send the requests of a page as they stand there, compare the answers, and return them."""
    require(shutil.which("curl"), "apt-get install curl")
    lines = re.findall(r"^(curl (?:.*\\\n)*.*)\n# → (.*)$", page(name), re.M)
    answers: list[str] = []
    for command, answer in lines:
        if "$ID" in command:
            command = command.replace("$ID", json.loads(answers[0])["id"])  # noqa: PLW2901
        example = Example(command, answer)
        said = curl(example, server.url)
        assert example.matches(said), f"{command}: {said}"
        answers.append(said)
    return answers


def ids(answers: list[str]) -> list[str]:
    return [found["id"] for found in map(json.loads, answers) if "id" in found]


@pytest.mark.parametrize(("name", "requests"), [("priorities", 5), ("limits", 3)])
def test_the_application_of_the_page_does_its_tasks(tmp_path: Path, name: str, requests: int) -> None:
    app = write(name, tmp_path / "app")
    with serving(tmp_path, str(app)) as server:
        sent = ids(send(name, server))
        assert len(sent) == requests
        assert {server.ended(id_)["status"] for id_ in sent} == {"completed"}
        assert server.terminate() == 0


def test_what_the_page_on_limits_says_of_what_is_over_them(tmp_path: Path) -> None:
    app = write("limits", tmp_path / "app")
    with serving(tmp_path, str(app)) as server:
        first, second = (server.submit("refresh_cache") for _ in range(2))
        assert (server.ended(second)["status"], server.ended(second)["error"]["type"]) == (
            "cancelled",
            "limit",
        )
        assert server.ended(first)["status"] == "completed"

        def preview(version: int) -> str:
            return server.submit("preview", {"document": "a", "version": version})

        old = preview(1)
        eventually(lambda: server.get(f"/tasks/{old}").json()["status"] == "running")
        new = preview(2)
        assert (server.ended(old)["status"], server.ended(old)["error"]["type"]) == ("cancelled", "limit")
        assert server.ended(new)["result"] == {"output": 2}
        assert server.terminate() == 0


def test_the_requests_on_waiting_answer_what_the_page_says(server: Server) -> None:
    assert len(send("why", server)) == 4


def test_every_reason_and_field_of_an_answer_is_on_the_page() -> None:
    from msgspec import structs

    from taskmill.tasks.view import why

    said = page("why")
    reasons: tuple[Any, ...] = why.Reason.__args__
    assert len(reasons) > 5
    for reason in (*reasons, why.Why, why.Running):
        if reason is not why.Why and reason is not why.Running:
            assert f"`{reason.__struct_config__.tag}`" in said
        for field in structs.fields(reason):
            assert re.search(rf"\b{field.encode_name}\b", said), field.encode_name
