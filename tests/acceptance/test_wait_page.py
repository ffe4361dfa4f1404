"""The page on waiting is run: each of its commands, one after the other."""

import json
import re
import shutil
import subprocess

from readme_lines import ADDRESS, ROOT, Example
from support import Server, require

PAGE = (ROOT / "docs" / "how-to" / "wait.md").read_text()


def test_the_page_on_waiting(server: Server) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 3
    id_ = ""
    for block in blocks:
        command, _, answer = block.partition("\n# → ")
        shell = command.replace(ADDRESS.removeprefix("http://"), server.url).replace("ID", id_ or "ID")
        ran = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=30)
        if answer:
            assert Example(command, answer.strip()).matches(ran.stdout.strip()), ran.stdout
        id_ = id_ or json.loads(ran.stdout)["id"]
        assert json.loads(ran.stdout)["id"] == id_
    assert server.terminate() == 0
