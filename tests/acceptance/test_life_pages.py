"""The pages on retries, on submitting once and on timeouts are run: their actions are written, their requests sent."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from readme_lines import Example, curl
from support import Server, eventually, require, serving
from test_lines_pages import page, write

COMMAND = r"^(curl (?:.*\\\n)*.*)\n# → (.*)$"


def send(server: Server, name: str) -> list[dict[str, Any]]:
    """Send the requests of a page as they stand there, `$ID` being the id before, and compare the answers."""
    require(shutil.which("curl"), "apt-get install curl")
    answers: list[dict[str, Any]] = []
    for command, answer in re.findall(COMMAND, page(name), re.M):
        if "$ID" in command:
            id_ = answers[-1]["id"]
            if name == "retries":
                server.ended(id_)
            command = command.replace("$ID", id_)  # noqa: PLW2901
        example = Example(command, answer)
        said = curl(example, server.url)
        assert example.matches(said), f"{command}: {said}"
        answers.append(json.loads(said))
    return answers


def ended(server: Server, answer: dict[str, Any]) -> dict[str, Any]:
    return server.ended(answer["id"])


def test_the_page_on_retries(tmp_path: Path) -> None:
    with serving(tmp_path, str(write("retries", tmp_path / "app"))) as server:
        partner, export, account, invoice, redriven = send(server, "retries")
        assert (ended(server, partner)["status"], ended(server, partner)["attempt"]) == ("completed", 2)
        assert (ended(server, export)["status"], ended(server, export)["attempt"]) == ("completed", 1)
        closed = ended(server, account)
        assert (closed["status"], closed["attempt"], closed["error"]["type"]) == ("failed", 1, "Fail")
        assert redriven["id"] == invoice["id"]
        failed = ended(server, invoice)
        assert (failed["status"], failed["attempt"], failed["error"]["type"]) == ("failed", 2, "ValueError")
        assert redriven["max_attempts"] == 1 + 5, "as many as a new one"
        assert server.terminate() == 0


def test_the_page_on_submitting_once(tmp_path: Path) -> None:
    with serving(tmp_path, str(write("once", tmp_path / "app"))) as server:
        charged, again, _, indexed, replaced, _, _, welcome, no_second = send(server, "once")
        assert charged["id"] == again["id"]
        assert indexed["id"] == replaced["id"]
        assert ended(server, indexed)["result"] == {"output": 2}
        assert welcome["id"] == no_second["id"]
        assert server.terminate() == 0


def test_the_page_on_timeouts(tmp_path: Path) -> None:
    with serving(tmp_path, str(write("timeouts", tmp_path / "app"))) as server:
        fetch, convert, code, count, cancelled = send(server, "timeouts")
        assert cancelled["id"] == count["id"]
        assert (ended(server, fetch)["error"]["type"], ended(server, fetch)["attempt"]) == ("timeout", 2)
        assert ended(server, convert)["result"] == {"output": "a.webm"}
        assert ended(server, code)["error"]["type"] == "expired"
        eventually(lambda: server.get("/tasks?status=running&limit=1").json()["count"] == 0)
        assert server.terminate() == 0


@pytest.mark.parametrize("name", ["retries", "once", "timeouts"])
def test_a_page_has_requests(name: str) -> None:
    assert page(name).count("curl ") == page(name).count("# → ") >= 5
