"""The page on schedules is run: its requests are sent, its entries are declared."""

import re
import shutil
from pathlib import Path

from apps import application
from readme_lines import ROOT, Example, curl
from support import Server, require, serving

PAGE = (ROOT / "docs" / "how-to" / "schedules.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.S)
    assert found
    return found[1]


def test_the_requests_answer_what_the_page_says(server: Server) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    lines = re.findall(r"^(curl (?:.*\\\n)*.*)\n# → ?(.*)$", block("bash"), re.M)
    assert len(lines) == 6
    for command, answer in lines:
        example = Example(command, answer)
        said = curl(example, server.url)
        assert example.matches(said), f"{command}: {said}"


def test_the_entries_are_schedules(tmp_path: Path) -> None:
    action = "@action(inline=True)\ndef uppercase(text: str) -> str:\n    return text.upper()\n"
    app = application(tmp_path / "app", action)
    index = app / "_index.yaml"
    index.write_text(index.read_text() + "\n" + block("yaml"))
    with serving(tmp_path, str(app)) as server:
        found = {one["name"]: one for one in server.get("/schedules").json()["schedules"]}
        assert found.keys() == {"nightly-report", "heartbeat"}
        assert (found["heartbeat"]["every"], found["nightly-report"]["jitter"]) == (10, 600)
        assert all(one["declared"] and one["next_run_at"] for one in found.values())
        assert server.terminate() == 0


def test_every_field_is_in_the_table(server: Server) -> None:
    body = {"every": 60, "action": "uppercase", "data": {"text": "x"}}
    schedule = server.request("PUT", "/schedules/all-fields", body).json()
    assert [name for name in schedule if name != "name" and f"`{name}`" not in PAGE] == []
