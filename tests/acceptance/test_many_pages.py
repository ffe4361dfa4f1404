"""The page on batch actions is run: its action is written, its requests are sent."""

import json
from pathlib import Path

from support import serving
from test_lines_pages import send, write


def test_the_page_on_batch_actions(tmp_path: Path) -> None:
    with serving(tmp_path, str(write("batch-actions", tmp_path / "app"))) as server:
        answers = [json.loads(answer) for answer in send("batch-actions", server)]
        assert len(answers) == 3
        assert [server.ended(id_)["result"] for id_ in answers[2]["ids"]] == [
            {"output": "sent to a@b.c"},
            {"output": "sent to d@e.f"},
        ]
        assert server.terminate() == 0
