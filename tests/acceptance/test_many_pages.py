"""The pages on batch actions and on steps are run: their actions are written, their requests are sent."""

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


def test_the_page_on_steps(tmp_path: Path) -> None:
    with serving(tmp_path, str(write("steps", tmp_path / "app"))) as server:
        fulfilled, published = [json.loads(answer) for answer in send("steps", server)]
        assert [step["name"] for step in fulfilled["steps"]] == ["charge", "ship"]
        assert [step["name"] for step in published["steps"]] == ["translate to French", "translate to Thai"]
        assert server.terminate() == 0
