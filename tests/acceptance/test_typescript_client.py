"""The client in TypeScript: made as its README says, its own tests against a real server, and what must not compile."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from readme_lines import ROOT
from support import require, serving
from typer.testing import CliRunner

from taskmill.cli import app

CLIENT = ROOT / "clients" / "typescript"
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def run(directory: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=directory, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The client, made for a new application, and where that is served."""
    npm = require(shutil.which("npm"), "apt-get install nodejs npm")
    place = tmp_path_factory.mktemp("typescript")
    client, shop = place / "client", place / "shop"
    shutil.copytree(CLIENT, client, ignore=shutil.ignore_patterns("node_modules", "dist"))
    assert CliRunner().invoke(app, ["init", str(shop)]).exit_code == 0
    (client / "openapi.json").write_text(CliRunner().invoke(app, ["openapi", str(shop)]).stdout)
    lines = re.findall(r"^(npm .*)$", (CLIENT / "README.md").read_text(), re.M)
    assert lines == ["npm install", "npm run generate", "npm run build"]
    for line in lines:
        done = run(client, npm, *line.split()[1:])
        assert done.returncode == 0, done.stdout + done.stderr
    with serving(place, directory=shop) as server:
        yield client, server.url


def test_its_own_tests_pass_against_a_server(made: tuple[Path, str]) -> None:
    client, url = made
    done = run(client, "npm", "test", TASKMILL_URL=url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\S pass [1-9]", done.stdout, re.M)


@pytest.mark.parametrize(
    ("submission", "complaint"),
    [
        ('{ action: "count_words", data: { text: 5 } }', "'number' is not assignable to type 'string'"),
        ('{ action: "count_wrods", data: { text: "a" } }', "count_wrods"),
        ('{ action: "count_words", data: { text: "a" }, dealy: 5 }', "dealy"),
        ('{ action: "count_words", data: { text: "a" }, delay: 5 }', ""),
    ],
)
def test_the_compiler_knows_the_actions(made: tuple[Path, str], submission: str, complaint: str) -> None:
    client, _ = made
    source = client / "src" / "wrong.ts"
    source.write_text(
        f'import type {{ Submission }} from "./index.js";\nexport const one: Submission = {submission};\n'
    )
    done = run(client, "npx", "tsc", "--noEmit")
    source.unlink()
    assert (complaint in done.stdout) if complaint else done.returncode == 0, done.stdout
