"""Schemathesis asks a live server whatever its OpenAPI document allows, and forbids, with all of its checks.

No answer may be a failure of the server, have a status or a body that the document does not know, take what the
document forbids or refuse what it allows. Links are followed from answer to answer.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, serving

HERE = Path(__file__).parent / "openapi"
EXAMPLES = int(os.environ.get("TASKMILL_REQUESTS", "60"))  # of an operation, in each phase

# Actions with and without data that must be there, of types with limits, some of which fail, and one with a key.
ACTIONS = """
from datetime import date
from typing import Annotated, Literal
import msgspec

class Line(msgspec.Struct, forbid_unknown_fields=True):
    article: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    count: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1

@action(inline=True, max_attempts=1)
def order(lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=3)], express: bool = False) -> int:
    if express:
        raise ValueError("no express today")
    return sum(line.count for line in lines)

@action(inline=True, unique="refuse")
def invoice(customer: Literal["ada", "bob"], day: date | None = None) -> str:
    return customer

@action(name="a name with / and \\u00fc", inline=True)
def odd(line: Line, /) -> str:
    return line.article
"""
# The settings leave these out: what would move the tasks of the server that is asked, and answers that do not end.
NOT_ASKED = ["begin_move", "watch_task", "watch_tasks"]


def run(server: Server, directory: Path, examples: int, phases: str, *options: str) -> dict[str, Any]:
    """Run Schemathesis; return its report, with the links that it followed."""
    report, events = directory / "report.json", directory / "events.ndjson"
    done = subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "--config-file", HERE / "schemathesis.toml", "run",
         f"{server.url}/openapi.json", "--checks", "all", "--phases", phases, "--max-examples", str(examples),
         "--no-color", "--report", "json,ndjson", "--report-json-path", report, "--report-ndjson-path", events,
         *options],
        cwd=directory, check=False, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": str(HERE), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    found: dict[str, Any] = json.loads(report.read_text())
    found["links"] = set(re.findall(r'"transition":\{"id":"([^"]*)"', events.read_text()))
    assert found["test_cases"]["with_failures"] == 0
    assert found["operations"]["tested"] == found["operations"]["total"] - len(NOT_ASKED) > 20
    assert not [line for line in server.log if "ERROR" in line or "Traceback" in line]
    return found


def from_submission(links: set[str]) -> set[str]:
    """Return the operations that were asked by a link from ``POST /tasks``."""
    return {link.rpartition("-> ")[2] for link in links if link.startswith("POST /tasks -> [202]")}


def test_some_hundred_requests_are_answered_as_the_document_says(server: Server, tmp_path: Path) -> None:
    found = run(server, tmp_path, 8, "examples,fuzzing,stateful", "--seed", "1")
    assert found["test_cases"]["generated"] >= 200
    assert from_submission(found["links"])


@pytest.mark.long
def test_thousands_of_requests_are_answered_as_the_document_says(server: Server, tmp_path: Path) -> None:
    found = run(server, tmp_path, EXAMPLES, "examples,coverage,fuzzing,stateful")
    print(f"{found['test_cases']['generated']} cases, {len(found['links'])} links")
    assert found["test_cases"]["generated"] >= 2_000
    assert len(found["links"]) >= 10
    assert "GET /tasks/{id}" in from_submission(found["links"])


@pytest.mark.long
def test_an_application_of_its_own_answers_as_its_document_says(tmp_path: Path) -> None:
    with serving(tmp_path, str(application(tmp_path / "app", ACTIONS))) as server:
        found = run(server, tmp_path, EXAMPLES, "examples,coverage,fuzzing,stateful")
        assert found["test_cases"]["generated"] >= 2_000
        for status in ("completed", "failed"):
            assert server.get(f"/tasks?status={status}&limit=1").json()["tasks"], "some of it was run"
