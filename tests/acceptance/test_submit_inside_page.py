"""The page on tasks that an action submits: its actions do what it says."""

import re
from typing import Any

from readme_lines import ROOT

from taskmill.testing import running

PAGE = (ROOT / "docs" / "how-to" / "submit-inside.md").read_text()


def test_the_page_on_tasks_out_of_a_task() -> None:
    (text,) = re.findall(r"```python\n# actions.py\n(.*?)```", PAGE, re.S)
    found: dict[str, Any] = {}
    exec(text, found)
    with running(actions=found.values()) as tasks:
        fanned = tasks.submit("count_all", {"texts": ["a b", "c"]})
        later = tasks.submit("count_later", {"text": "one two three"})
        tasks.run_all()
        last = tasks.get(fanned.result())
        assert (last.status, last.result, len(last.after)) == ("completed", {"output": 2}, 2)
        assert tasks.get(later.result()).status == "scheduled"
