"""The page on metrics is followed, its questions are PromQL, and its reference is up to date."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import yaml
from promql import names_of, names_of_families, rules_of
from readme_lines import ROOT, Example, curl
from support import require, serving

PAGE = (ROOT / "docs" / "how-to" / "observe.md").read_text()


def test_the_page_is_followed(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        examples = [Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)]
        assert len(examples) == 2
        for example in examples:
            said = curl(example, server.url).rstrip("\n")
            assert example.matches(said), f"{example.command}: {said}"


def test_the_questions_are_promql_and_ask_for_what_there_is(tmp_path: Path) -> None:
    questions = re.findall(r"^\| [A-Z].*\? \| `(.*)` \|$", PAGE, re.M)
    assert len(questions) == 7
    assert {name for question in questions for name in names_of(question)} <= names_of_families()
    promtool = require(shutil.which("promtool"), "apt-get install prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules_of(questions)))
    command = [promtool, "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_is_up_to_date() -> None:
    generator = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))
    assert generator["METRICS"].read_text() == generator["render_metrics"](), "run `make docs`"
