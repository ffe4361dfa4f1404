"""The page on middleware is followed: its entries in the built-in application, and its request."""

import re
import shutil
import subprocess
from pathlib import Path

from readme_lines import ADDRESS, ROOT, Example
from secured import make_key
from support import require, serving

from taskmill.application import BUILTIN

PAGE = (ROOT / "docs" / "how-to" / "middleware.md").read_text()
ROUTER = "  - name: router\n    kind: http.router\n    meta: {server: gateway}\n"


def test_the_page_on_middleware(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    pieces, router, _ = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    app = tmp_path / "app"
    shutil.copytree(BUILTIN, app)
    index = (app / "_index.yaml").read_text()
    assert index.count(ROUTER) == 1
    (app / "_index.yaml").write_text(index.replace(ROUTER, router + "\n") + "\n" + pieces)
    key = make_key(tmp_path, "observe")
    ((command, answer),) = re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)
    with serving(tmp_path, directory=app) as server:
        line = command.replace(ADDRESS, server.url).replace("$TASKMILL_TOKEN", key)
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=30)
    said = " ".join(done.stdout.split())
    assert Example(command, answer + "…").matches(said), said
