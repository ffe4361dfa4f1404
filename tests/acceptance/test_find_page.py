"""The page on finding tasks is run: its action, and its requests one after the other."""

import re
import shutil
from pathlib import Path

from apps import application
from readme_lines import ROOT, Example, curl
from support import require, serving

PAGE = (ROOT / "docs" / "how-to" / "find.md").read_text()


def test_the_page(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    (action,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    requests = [Example(*found) for found in re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)]
    assert len(requests) == 5
    with serving(tmp_path, str(application(tmp_path / "app", action))) as server:
        server.ended(server.submit("bill", {"customer": 42}))
        server.ended(server.submit("bill", {"customer": 43}))
        for request in requests:
            assert request.matches(answer := curl(request, server.url)), answer
