"""The page on nodes is followed: its entries in place of the built-in ones, its commands, its request."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodes import MEMORY
from readme_lines import ROOT, Example, curl
from servers.postgres import postgres_server
from servers.server import free_port
from support import eventually, require

from taskmill.application import BUILTIN

PAGE = (ROOT / "docs" / "how-to" / "nodes.md").read_text()


def entries() -> list[str]:
    (text,) = re.findall(r"```yaml\nentries:\n(.*?)```", PAGE, re.S)
    return [entry.rstrip() + "\n" for entry in re.split(r"\n(?=  - name)", text)]


def application(directory: Path) -> Path:
    """Copy the built-in application with the entries of the page."""
    shutil.copytree(BUILTIN, directory)
    text = (BUILTIN / "_index.yaml").read_text()
    database, driver = entries()
    sqlite = "  - name: db\n    kind: db.sql.sqlite\n    file: tasks.db\n"
    assert text.count(sqlite) == text.count(MEMORY) == 1
    (directory / "_index.yaml").write_text(text.replace(sqlite, database).replace(MEMORY, driver))
    return directory


def commands() -> list[str]:
    return re.findall(r"^taskmill (run mill .*)$", PAGE, re.M)


@pytest.mark.timeout(120)
def test_the_page_leads_to_two_nodes_that_share_the_work(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    application(tmp_path / "mill")
    ports = {"8080": free_port(), "8081": free_port(), "9090": free_port()}
    lines = commands()
    assert len(lines) == 5
    both, only = lines[:2], lines[2:]
    with postgres_server() as postgres:
        env = {**os.environ, "DATABASE_URL": postgres.create()}
        running: list[subprocess.Popen[bytes]] = []

        def start(line: str) -> None:
            for port, free in ports.items():
                line = line.replace(f":{port}", f":{free}")
            arguments = [*line.split(), "--data", str(tmp_path / f"data-{len(running)}")]
            (tmp_path / f"data-{len(running)}").mkdir()
            with (tmp_path / f"log-{len(running)}").open("wb") as log:
                command = [sys.executable, "-m", "taskmill", *arguments]
                running.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log))

        url = f"http://127.0.0.1:{ports['8080']}"
        try:
            for line in both:
                start(line)
            ((command, answer),) = re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)
            example = Example(command, answer)
            eventually(lambda: example.matches(said(example, url)), 40)
            for process in running:
                process.terminate()
                assert process.wait(30) == 0
            for line in only:
                start(line)
            eventually(lambda: said(example, url).count('"roles":["workers"]') == 2, 40)
            eventually(
                lambda: said(
                    Example("curl http://localhost:8080/readyz", ""), f"http://127.0.0.1:{ports['9090']}"
                )
            )
        finally:
            for process in running:
                process.kill()
                process.wait(10)


def said(example: Example, url: str) -> str:
    """Return what a request is answered; nothing where nobody listens yet."""
    try:
        return curl(example, url)
    except subprocess.CalledProcessError:
        return ""
