"""The page on hidden fields is followed."""

import re
from pathlib import Path

from readme_lines import ROOT, Example, curl
from support import eventually, serving
from typer.testing import CliRunner

from taskmill.application import BUILTIN
from taskmill.cli import app

PAGE = (ROOT / "docs" / "how-to" / "redact.md").read_text()


def test_the_page_is_followed(tmp_path: Path) -> None:
    (entry,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    index = (BUILTIN / "_index.yaml").read_text()
    own = re.search(r"  - name: tasks\n    kind: task\.service\n(?:    .*\n)+", index)
    assert own is not None
    (tmp_path / "_index.yaml").write_text(index.replace(own[0], entry))
    (tmp_path / "actions.py").write_text((BUILTIN / "actions.py").read_text())
    with serving(tmp_path, str(tmp_path)) as server:
        submitted, listed = (Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M))
        said = curl(submitted, server.url)
        assert submitted.matches(said), said
        eventually(lambda: server.get("/tasks?status=completed").json()["count"])
        said = curl(listed, server.url)
        assert listed.matches(said), said
        (id_,) = (task["id"] for task in server.get("/tasks").json()["tasks"])
        (command,) = re.findall(r"^taskmill (.*)$", PAGE, re.M)
        arguments = [*command.replace("ID", id_).split(), "--url", server.url]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert "4111111111111111" in result.output
        plain = CliRunner().invoke(app, [one for one in arguments if one != "--with-secrets"])
        assert "[redacted]" in plain.output
        assert "4111111111111111" not in plain.output
