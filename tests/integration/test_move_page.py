"""The page on moving is followed, line by line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support import serving

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "move.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


def commands() -> list[str]:
    return re.findall(r"^(taskmill move --to .*)$", PAGE, re.M)


def run(line: str, url: str) -> str:
    _, *arguments = shlex.split(line.replace(ADDRESS, url))
    command = [sys.executable, "-m", "taskmill", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(90)
def test_the_page_leads_there_and_back(tmp_path: Path, postgres_url: str) -> None:
    there, back = commands()
    said = "\n".join(line.strip() for line in re.findall(r"^# →(.*)$", PAGE, re.M))
    (tmp_path / "data").mkdir()
    with serving(tmp_path / "data", directory=tmp_path, env={"DATABASE_URL": postgres_url}) as server:
        id_ = server.submit("uppercase", {"text": "moves"})
        printed = "\n".join(line.strip() for line in run(there, server.url).splitlines())
        assert re.fullmatch(".*".join(map(re.escape, said.split("…"))), printed), printed
        assert server.get("/move").json()["to"].startswith("PostgreSQL")
        run(back, server.url)
        assert server.get("/move").json()["to"].endswith("back.db")
        assert server.ended(id_)["result"] == {"output": "MOVES"}
