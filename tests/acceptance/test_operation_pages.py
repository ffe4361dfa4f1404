"""The pages on cancelling, running again and pausing are run: requests, commands, files."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from readme_lines import ROOT, Example, curl
from support import Server, eventually, require, serving
from typer.testing import CliRunner

from taskmill.cli import app

ACTIONS = """
@action(name="send-mail", inline=True, max_attempts=1)
def send_mail(to: str = "") -> str:
    if not os.path.exists("mended"):
        raise ConnectionError("no mail server")
    return "sent"

@action(inline=True)
def uppercase(text: str = "") -> str:
    return text.upper()
"""


def text_of(page: str) -> str:
    return (ROOT / "docs" / "how-to" / f"{page}.md").read_text()


def block(page: str, language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", text_of(page), re.S)
    return str(found)


def requests(page: str) -> Iterator[Example]:
    for block in re.findall(r"```bash\n(.*?)```", text_of(page), re.S):
        for command, answer in re.findall(r"^(curl (?:.*\\\n)*.*)\n# → ?(.*)$", block, re.M):
            yield Example(command, answer)


def check(example: Example, server: Server) -> None:
    said = curl(example, server.url)
    assert example.matches(said), f"{example.command}: {said}"


def check_commands(page: str, server: Server, id_: str) -> None:
    """Run each command of a page; one that fails is said to."""
    commands = re.findall(r"^taskmill (.*)$", text_of(page), re.M)
    assert len(commands) == 3
    for command in commands:
        arguments = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", id_, command).split()
        result = CliRunner().invoke(app, [*arguments, "--url", server.url])
        assert result.exit_code == 0, f"{command}: {result.output}"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    require(shutil.which("curl"), "apt-get install curl")
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as running:
        yield running


def delayed(server: Server, action: str) -> str:
    return str(server.request("POST", "/tasks", {"action": action, "delay": 3600}).json()["id"])


def test_the_page_on_cancelling(own: Server) -> None:
    for _ in range(3):
        delayed(own, "uppercase")
    examples = list(requests("cancel"))
    assert len(examples) == 3
    for example in examples:
        check(example, own)
    check_commands("cancel", own, delayed(own, "uppercase"))


def test_the_page_on_running_again(own: Server, tmp_path: Path) -> None:
    for _ in range(5):
        assert own.ended(own.submit("send-mail"))["status"] == "failed"
    before, after = requests("redrive")
    check(before, own)
    (tmp_path / "app" / "mended").touch()
    check(after, own)
    id_ = delayed(own, "send-mail")
    own.request("POST", f"/tasks/{id_}/cancel")
    check_commands("redrive", own, id_)


def test_the_page_on_pausing(own: Server) -> None:
    examples = list(requests("pause"))
    assert len(examples) == 4
    for example in examples:
        check(example, own)
    check_commands("pause", own, "")


def test_the_dead_letter_of_the_page_is_delivered(tmp_path: Path) -> None:
    directory = application(tmp_path / "app", ACTIONS)
    (directory / "alerts.py").write_text(block("redrive", "python"))
    entries = re.split(r"\n(?=  - name)", block("redrive", "yaml").rstrip())
    own = [entry for entry in entries if re.match(r"  - name: (failures|alert|alerting)\n", entry)]
    assert len(own) == 3
    index = directory / "_index.yaml"
    text = index.read_text().replace("queue_name: tasks\n", "queue_name: tasks\n    dead_letter: failures\n")
    index.write_text(text + "\n" + "\n".join(own).replace("driver: driver", "driver: queue_driver") + "\n")
    with serving(tmp_path, directory=directory) as server:
        server.submit("send-mail", {"to": "ada"})
        alerts = directory / "alerts.txt"
        eventually(lambda: alerts.exists() and alerts.read_text(), 20)
        assert alerts.read_text() == "send-mail ConnectionError no mail server {'to': 'ada'}\n"
        assert server.terminate() == 0
