"""The pages on retention and on backups are run: their requests, their rules, their commands."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from readme_lines import ROOT, Example, curl
from support import require, serving

from taskmill import application
from taskmill.application import BUILTIN

RETENTION = (ROOT / "docs" / "how-to" / "retention.md").read_text()
BACKUP = (ROOT / "docs" / "how-to" / "backup.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def test_the_requests_of_the_page_prune(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    requests = [Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", RETENTION, re.M)]
    assert len(requests) == 3
    with serving(tmp_path) as server:
        server.ended(server.submit("uppercase", {"text": "x"}))
        for request in requests:
            assert request.matches(answer := curl(request, server.url)), answer


def test_the_rules_of_the_page_are_the_defaults(tmp_path: Path) -> None:
    (entry,) = blocks(RETENTION, "yaml")
    name = "  - name: tasks\n    kind: task.service\n"
    assert entry.startswith(name)
    builtin = (BUILTIN / "_index.yaml").read_text()
    before, _, after = builtin.partition(name)
    (tmp_path / "_index.yaml").write_text(before + entry + after[after.index("\n\n") :])
    (tmp_path / "actions.py").write_text((BUILTIN / "actions.py").read_text())
    checked = subprocess.run(
        [sys.executable, "-m", "taskmill", "check", str(tmp_path)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    declared = application.read(tmp_path).entries["app:tasks"].config
    default = application.read(BUILTIN).entries["app:tasks"].config
    assert (declared.keep, declared.max_size, declared.tombstones) == (
        default.keep, default.max_size, default.tombstones,
    )  # fmt: skip


def test_the_override_of_the_page_is_one(tmp_path: Path) -> None:
    (override,) = re.findall(r"taskmill run -o (\S+)`", RETENTION)
    with serving(tmp_path, "-o", override) as server:
        assert server.terminate() == 0


def test_what_the_page_backs_up_can_be_restored_as_it_says(tmp_path: Path) -> None:
    copying, restoring = blocks(BACKUP, "bash")
    copying, _, answer = copying.partition("\n# → ")
    *steps, run = restoring.strip().split("\n")
    taskmill = f"{sys.executable} -m taskmill"
    with serving(tmp_path / "data", directory=tmp_path) as server:
        id_ = server.submit("uppercase", {"text": "x"})
        server.ended(id_)
        done = subprocess.run(
            ["sh", "-e", "-c", copying.replace("taskmill", taskmill)],
            cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert Example(copying, answer.strip()).matches(done.stdout.strip()), done.stdout
        assert server.terminate() == 0
    shutil.rmtree(tmp_path / "data")
    subprocess.run(["sh", "-e", "-c", "\n".join(steps)], cwd=tmp_path, timeout=30, check=True)
    assert run == "taskmill run --data restored"
    with serving(tmp_path / "restored", directory=tmp_path) as server:
        assert server.get(f"/tasks/{id_}").json()["result"] == {"output": "X"}
        assert server.terminate() == 0
