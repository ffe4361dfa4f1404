"""The page on figures is followed."""

import re
from pathlib import Path

from readme_lines import ROOT, Example, curl
from support import serving
from typer.testing import CliRunner

from taskmill.cli import app

PAGE = (ROOT / "docs" / "how-to" / "stats.md").read_text()


def test_the_page_is_followed(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        examples = [Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)]
        assert len(examples) == 2
        for example in examples:
            said = curl(example, server.url)
            assert example.matches(said), f"{example.command}: {said}"
        (command,) = re.findall(r"^taskmill (.*)$", PAGE, re.M)
        result = CliRunner().invoke(app, [*command.split(), "--url", server.url])
        assert result.exit_code == 0, result.output
        assert result.output.startswith("1 completed\n")
        assert re.search(r"Queue +Queued +Running +Tasks/s.*\ntasks +0 +0 +\S+ +1 +0 +0 ", result.output)
