"""An `async def` that blocks the loop is named, with the line that does it, while it still does."""

from pathlib import Path

from apps import application
from support import eventually, serving

ACTIONS = """
@action
async def stuck(path: str) -> str:
    open(path, "w").close()
    while not os.path.exists(path + ".go"):
        time.sleep(0.01)  # the mistake
    return "done"
"""


def test_the_action_that_blocks_the_loop_is_reported_with_its_stack(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with serving(tmp_path, application(tmp_path / "app", ACTIONS)) as server:
        task = server.submit("stuck", {"path": str(began)})
        eventually(lambda: "blocked for" in server.text() and "time.sleep(0.01)" in server.text())
        assert "by action stuck" in server.text()
        Path(f"{began}.go").touch()
        assert server.ended(task)["status"] == "completed"
        assert server.text().count("blocked for") == 1
