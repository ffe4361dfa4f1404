"""The page on encryption is followed."""

import re
from pathlib import Path

import pytest
from readme_lines import ROOT
from typer.testing import CliRunner

from taskmill import application
from taskmill.application import BUILTIN
from taskmill.cli import app

PAGE = (ROOT / "docs" / "how-to" / "encrypt.md").read_text()


def ran(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entry,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    index = (BUILTIN / "_index.yaml").read_text()
    own = re.search(r"  - name: tasks\n    kind: task\.service\n(?:    .*\n)+", index)
    assert own is not None
    (tmp_path / "_index.yaml").write_text(index.replace(own[0], entry))
    (tmp_path / "actions.py").write_text((BUILTIN / "actions.py").read_text())
    monkeypatch.chdir(tmp_path)

    keys = ""
    commands = re.findall(r"(?:^|\()taskmill (encrypt [^)\n`]*)", PAGE, re.M)
    assert [command.split()[1] for command in commands] == ["new-key", "new-key", "again", "off"]
    said = []
    for command in commands:
        said.append(ran(*command.split()))
        if command.startswith("encrypt new-key"):
            keys = f"{said[-1].strip()},{keys}".strip(",")
            monkeypatch.setenv("TASKMILL_KEYS", keys)
            assert list(application.warnings(application.read(tmp_path))) == []
    assert "encrypted with the key 2027" in said[2]
    assert "decrypted" in said[3]


def test_queries_that_would_find_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = (BUILTIN / "_index.yaml").read_text()
    kind = "    kind: task.service\n"
    (tmp_path / "_index.yaml").write_text(index.replace(kind, kind + "    encrypt:\n      keys: ${env:K}\n"))
    (tmp_path / "actions.py").write_text(
        "from taskmill import action\n@action(index=['data.a'])\ndef find(a: str) -> None: ...\n"
    )
    monkeypatch.setenv("K", ran("encrypt", "new-key", "a").strip())
    for query in ("SELECT data->>'text' FROM tasks", "SELECT json_extract(data, '$.text') FROM task"):
        result = CliRunner().invoke(app, ["sql", query, "--app", str(tmp_path)])
        assert result.exit_code == 2
        assert "encrypted" in result.output
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 2
    assert "action find declares `index`" in result.output
