"""What the documentation shows of Python is right by mypy: each page's blocks, as one module."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.M | re.S)
# What a page's words have said, and its blocks do not say again.
GIVEN = {
    "client": "from taskmill.client import Client\nclient = Client()\n",
    "action": "from taskmill import action\n",
}


def module_of(page: Path) -> str:
    code = "\n".join(
        re.sub(rf"^{match[1]}", "", match[2], flags=re.M) for match in BLOCK.finditer(page.read_text())
    )
    lacking = [
        line
        for name, line in GIVEN.items()
        if not re.search(rf"import.*\b{name}\b|\b{name} =|as {name}\b", code)
    ]
    return "".join(lacking) + code if code else ""


@pytest.mark.long
def test_the_code_of_every_page_is_right_by_its_types(tmp_path: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        if code := module_of(page):
            (tmp_path / f"{page.parent.name}_{page.stem}.py".replace("-", "_")).write_text(code)
    modules = sorted(str(path) for path in tmp_path.glob("*.py"))
    assert len(modules) > 20
    options = ["--config-file=", "--ignore-missing-imports", "--disable-error-code=no-redef"]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *modules], check=False, capture_output=True, text=True,
        cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
