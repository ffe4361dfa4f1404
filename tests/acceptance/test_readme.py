"""The README is run: its requests are sent, its application is written and used."""

import re
import subprocess
from pathlib import Path

from readme_lines import README, ROOT, block, examples, run_all
from support import Server, serving

from taskmill import application


def test_the_requests_answer_what_the_readme_says(server: Server) -> None:
    assert len(examples()) == 4
    run_all(server.url)
    assert server.terminate() == 0


def test_the_excerpt_is_one_of_the_builtin_application() -> None:
    excerpt = block("One file shows the whole system", "yaml")
    whole = (application.BUILTIN / "_index.yaml").read_text()
    for entry in re.split(r"\n(?=  - name)", excerpt.partition("entries:\n")[2].rstrip()):
        assert entry.strip() in whole


def test_the_application_of_the_readme_works(tmp_path: Path) -> None:
    heading = "An application of your own"
    (tmp_path / "src").symlink_to(ROOT / "src")
    subprocess.run(["sh", "-e", "-c", block(heading, "bash")], cwd=tmp_path, check=True, timeout=10)
    source = block(heading, "python")
    name = re.match(r"# (\S+)\n", source)
    assert name
    (tmp_path / name[1]).write_text(source)
    assert ".venv/bin/taskmill run shop" in README
    with serving(tmp_path / "data", "shop", directory=tmp_path) as server:
        assert server.ended(server.submit("count_words", {"text": "to be or not"}))["result"] == {"output": 4}
        assert server.ended(server.submit("greet"))["result"] == {"output": "Hello, you!"}
        refused = server.request("POST", "/tasks", {"action": "count_words", "data": {"text": 5}})
        assert refused.status == 400
        assert [error["path"] for error in refused.json()["errors"]] == ["data.text"]
        assert server.terminate() == 0
