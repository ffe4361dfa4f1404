"""The page on OpenAPI is run: its application is written and started, its request sent, its document looked at."""

import json
import re
import shutil
from pathlib import Path

from openapi_spec_validator import validate
from readme_lines import Example, curl
from support import require, serving

PAGE = (Path(__file__).parents[2] / "docs/reference/openapi.md").read_text()


def write(directory: Path) -> Path:
    """Write the files of the page."""
    directory.mkdir()
    for name, text in re.findall(r"^```(?:yaml|python)\n# (\S+)\n(.*?)^```$", PAGE, re.M | re.S):
        (directory / name).write_text(text)
    return directory


def test_the_application_of_the_page(tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    ((command, answer),) = re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)
    with serving(tmp_path, str(write(tmp_path / "app"))) as server:
        assert json.loads(curl(Example(command, answer), server.url)) == json.loads(answer)
        assert server.get("/pets/max").status == 404
        made = server.get("/openapi.json").json()
        validate(made)
        assert list(made["paths"]) == ["/docs", "/docs/{file}", "/openapi.json", "/pets/{name}"]
        operation = made["paths"]["/pets/{name}"]["get"]
        assert (operation["summary"], operation["tags"]) == ("Get a pet", ["Pets"])
        assert made["components"]["schemas"]["Pet"]["properties"]["legs"] == {
            "type": "integer", "minimum": 0, "description": "How many it stands on."
        }  # fmt: skip
        assert server.get("/docs").status == 200
        assert server.terminate() == 0
