"""The page on tasks that follow tasks is run: its requests one after the other, and its lines of Python."""

import json
import re
import shutil
import subprocess

from readme_lines import ADDRESS, ROOT, Example
from support import Server, require

from taskmill.client import Client

PAGE = (ROOT / "docs" / "how-to" / "follow.md").read_text()


def test_the_page_on_tasks_that_follow_tasks(server: Server) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    lines = re.findall(r"^(curl (?:.*\\\n)*.*)\n# → (.*)$", PAGE, re.M)
    assert len(lines) == 4
    ids: list[str] = []
    for command, answer in lines:
        shell = command.replace(ADDRESS.removeprefix("http://"), server.url)
        for name, id_ in zip(("FIRST", "SECOND"), ids, strict=False):
            shell = shell.replace(f'["{name}"]', f'["{id_}"]').replace(f"/{name}", f"/{id_}")
        ran = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=40)
        assert Example(command, answer).matches(ran.stdout.strip()), ran.stdout
        ids.append(json.loads(ran.stdout)["id"])
    (text,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    with Client(server.url) as client:
        names: dict[str, object] = {"client": client}
        exec(text, names)
        assert names["second"].result(timeout=30) == "SECOND"  # type: ignore[attr-defined]
    assert server.terminate() == 0
