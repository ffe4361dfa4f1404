"""The page on the Python client is run: its files written, its blocks one after the other, its outputs compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

from readme_lines import ROOT, Example
from support import serving

from taskmill.application import BUILTIN

PAGE = (ROOT / "docs" / "how-to" / "client.md").read_text()
ADDRESS = "http://127.0.0.1:8080"


def test_the_page_on_the_client(tmp_path: Path) -> None:
    actions, *blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    name, _, _ = actions.removeprefix("# ").partition("\n")
    (tmp_path / name).write_text(actions)
    (tmp_path / "_index.yaml").write_text((BUILTIN / "_index.yaml").read_text())
    script = "\n".join(blocks)
    expected = re.findall(r"  # → (.*)$", script, re.M)
    assert (len(blocks), len(expected)) == (5, 16)
    with serving(tmp_path / "data", directory=tmp_path) as server:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", script.replace(ADDRESS, server.url)],
            cwd=tmp_path, env={**os.environ, "TASKMILL_URL": server.url},
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")
        said = ran.stdout.splitlines()
        assert len(said) == len(expected)
        assert [(line, wanted) for line, wanted in zip(said, expected, strict=True)
                if not Example("", wanted).matches(line)] == []  # fmt: skip
