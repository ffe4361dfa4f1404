"""The tutorial is followed to the letter: its commands are typed, its code is written, its answers compared."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from readme_lines import ROOT, Example, curl
from support import Server, eventually, require, serving
from typer.testing import CliRunner

from taskmill.cli import app

TUTORIAL = (ROOT / "docs" / "tutorial" / "first-steps.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


def sections() -> dict[str, str]:
    found = re.findall(r"^## (\d)\. [^\n]*\n(.*?)(?=^## )", TUTORIAL, re.M | re.S)
    assert [number for number, _ in found] == list("1234567")
    return dict(found)


def block(section: str, language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", section, re.S)
    return str(found[-1])


def follow(section: str, server: Server, directory: Path) -> int:
    """Type the commands of a section; return how many answers there were."""
    id_, count = "", 0
    commands = re.findall(r"^(curl .*|echo .*)\n(?:# → ?(.*)$)?", block(section, "bash"), re.M)
    for command, answer in commands:
        if command.startswith("echo"):
            subprocess.run(["sh", "-c", command], cwd=directory, check=True)
            continue
        typed = Example(command.replace(ADDRESS, server.url).replace("$ID", id_), answer)
        said = ""

        def right(typed: Example = typed) -> bool:
            nonlocal said
            said = curl(typed, server.url)
            return typed.matches(said)

        if " --json " in command or " -X " in command:
            assert right(), f"{command}: {said}"
        else:  # a look: until what was submitted is so far
            eventually(right, 20)
        if submitted := re.match(r'\{"id":"([^"]+)","status"', said):
            id_ = submitted[1]
        count += 1
    return count


def test_the_tutorial(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    steps, shop = sections(), tmp_path / "shop"
    assert (
        block(steps["1"].partition("Leave that")[0], "bash") == "taskmill init shop\ncd shop\ntaskmill run\n"
    )
    assert CliRunner().invoke(app, ["init", str(shop)]).exit_code == 0
    with serving(shop / "data", directory=shop) as server:
        assert follow(steps["1"], server, shop) == 2
        assert server.terminate() == 0
    added = block(steps["2"], "python")
    with (shop / "actions.py").open("a") as actions:
        actions.write("\n\n" + added)
    with serving(shop / "data", directory=shop) as server:
        assert [follow(steps[step], server, shop) for step in "2345"] == [1, 4, 3, 3]
        python = block(steps["6"], "python")
        said = subprocess.run(
            [sys.executable, "-c", python], cwd=shop, env={**os.environ, "TASKMILL_URL": server.url},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert said.stdout.splitlines() == re.findall(r"  # → (.*)$", python, re.M)
        *commands, last = block(steps["7"], "bash").splitlines()
        for command in commands:
            arguments = command.removeprefix("taskmill ").split()
            result = CliRunner().invoke(app, [*arguments, "--url", server.url])
            assert result.exit_code == 0, f"{command}: {result.output}"
        tested = [sys.executable, *last.split()[1:]]
        subprocess.run(tested, cwd=shop, check=True, capture_output=True, timeout=90)
        assert server.terminate() == 0
