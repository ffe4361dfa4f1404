"""The page on keys is followed: a key is made, sent, replaced and withdrawn."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from readme_lines import ADDRESS, ROOT, Example
from secured import bearer
from support import eventually, require, serving

PAGE = (ROOT / "docs" / "how-to" / "keys.md").read_text()


def examples() -> list[Example]:
    return [
        Example(line, answer)
        for block in re.findall(r"```bash\n(.*?)```", PAGE, re.S)
        for line, answer in re.findall(r"^((?:taskmill|curl) .*)\n(?:# → (.*)$)?", block, re.M)
    ]


def test_the_page_on_keys(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    create, run, curl, submit, listing, rotate, revoke, usage = examples()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def said(example: Example, key: str = "", url: str = "") -> str:
        line = example.command.replace(ADDRESS, url).replace("PREFIX", key[:11])
        with_key = {**environment, "TASKMILL_TOKEN": key, "TASKMILL_URL": url}
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env=with_key,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        text = " ".join(done.stdout.split()) if example is listing else done.stdout.strip()
        wanted = Example(
            example.command, " ".join(example.answer.split()) if example is listing else example.answer
        )
        assert wanted.matches(text), text
        return text

    key = said(create)
    options = shlex.split(run.command)[4:]
    assert options == ["-o", "app:router:middleware=keys"]
    with serving(tmp_path / "data", *options, directory=tmp_path) as server:
        said(curl, key, server.url)
        said(submit, key, server.url)
        said(listing)
        eventually(
            lambda: '"completed":1' in server.request("GET", "/usage", None, bearer(key)).body.decode(), 20
        )
        said(usage, key, server.url)
        new = said(rotate, key)
        said(revoke, key)
        statuses = [lambda one=one: server.request("GET", "/tasks", None, {"Authorization": f"Bearer {one}"}).status
                    for one in (key, new)]  # fmt: skip
        eventually(lambda: [status() for status in statuses] == [401, 200])
