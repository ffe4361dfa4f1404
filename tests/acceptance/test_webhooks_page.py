"""The page on webhooks is run: its entries, its requests and lines, and what it has receivers do."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from apps import application
from callbacks import SECRET
from external import declare
from readme_lines import ADDRESS, ROOT, Example
from receiver import receiving
from support import eventually, require, serving

from taskmill.client import Client

PAGE = (ROOT / "docs" / "how-to" / "webhooks.md").read_text()
URL = "https://shop.example/hooks"
ACTIONS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()
"""


@pytest.mark.long
def test_the_page_on_webhooks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    entries, allow = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    allowed = allow.replace("10.20.0.0/16", "127.0.0.0/8")
    assert allowed != allow
    directory = declare(application(tmp_path / "app", ACTIONS), "\n" + entries + allowed)
    requests = re.findall(r"^(curl (?:.*\\\n)*.*)\n# \u2192 (.*)$", PAGE, re.M)
    submits, verifies = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (command,) = re.findall(r"^(taskmill submit .*)$", PAGE, re.M)
    assert (len(requests), submits.count(URL)) == (2, 2)
    with receiving() as receiver, serving(
        tmp_path, directory=directory, env={"WEBHOOK_SECRET": SECRET}
    ) as server:  # fmt: skip
        for asked, answer in requests:
            shell = asked.replace(ADDRESS.removeprefix("http://"), server.url).replace(URL, receiver.url)
            ran = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=40)
            assert Example(asked, answer.replace(URL, receiver.url)).matches(ran.stdout.strip()), ran.stdout
        with Client(server.url) as client:
            exec(submits.replace(URL, receiver.url), {"client": client})
        words = shlex.split(command.replace(URL, receiver.url))
        environment = {**os.environ, "TASKMILL_URL": server.url}
        subprocess.run([sys.executable, "-m", *words], check=True, env=environment, timeout=60)
        eventually(lambda: len(receiver.came) == 3, 20)
        names: dict[str, object] = {}
        exec(verifies, names)
        for came in receiver.came:
            names["receive"](SECRET, came.body, came.headers)  # type: ignore[operator]
        assert capsys.readouterr().out.count("task.completed ") == 3
        assert server.terminate() == 0
