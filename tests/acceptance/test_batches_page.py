"""The page on batches is run: its actions are written, its requests are sent one after the other."""

import json
import re
import shutil
from pathlib import Path

from apps import application
from readme_lines import Example, curl
from support import eventually, require, serving
from test_lines_pages import page
from typer.testing import CliRunner

from taskmill.cli import app
from taskmill.client import Client


def test_the_page_on_batches(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    lines = re.findall(r"^(curl .*)\n# → (.*)$", page("batches"), re.M)
    assert len(lines) == 6
    directory = application(tmp_path / "app", "")
    (actions,) = re.findall(r"```python\n(# actions.py\n.*?)```", page("batches"), re.S)
    (directory / "actions.py").write_text(actions)
    with serving(tmp_path, str(directory)) as server:
        names: dict[str, str] = {}
        for command, answer in lines:
            for name, id_ in names.items():
                command = command.replace(f"/{name}", f"/{id_}")  # noqa: PLW2901
            if "BATCH" in names and command.endswith(names["BATCH"]):
                eventually(lambda: server.get(f"/batches/{names['BATCH']}").json()["status"] == "ended")
            said = curl(Example(command, answer), server.url)
            assert Example(command, answer).matches(said), f"{command}: {said}"
            made = json.loads(said)
            if "on_complete" in made and "ids" in made:
                names["OPEN" if "BATCH" in names else "BATCH"] = made["id"]
                if made["on_complete"]:
                    names["LAST"] = made["on_complete"]
        (text,) = re.findall(r"```python\n(from taskmill.client.*?)```", page("batches"), re.S)
        with Client(server.url) as client:
            exec(text, {"client": client})
        listed = CliRunner().invoke(app, ["batches", "--url", server.url], env={"COLUMNS": "200"})
        assert listed.exit_code == 0
        assert "chapters" in listed.output
        shown = CliRunner().invoke(app, ["batches", "show", names["BATCH"], "--url", server.url])
        assert "'done': 2" in shown.output.replace('"', "'")
        assert server.terminate() == 0
