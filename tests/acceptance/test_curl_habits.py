"""The real curl against the real server: what it does of itself must work."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support import Server, require

DATA = '{"action": "uppercase", "data": {"text": "hello"}}'


def curl(*arguments: str) -> tuple[int, str]:
    """Run curl; return the last status and the body."""
    program = require(shutil.which("curl"), "curl is not installed")
    done = subprocess.run(
        [program, "-sS", "-m", "10", "-w", "\n%{http_code}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_a_form_by_default_is_refused_with_what_to_do(server: Server) -> None:
    status, body = curl(f"{server.url}/tasks", "-d", DATA)  # curl calls this a form
    assert status == 415
    assert "Content-Type: application/json" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    "options", [[], ["--http1.0"], ["--http2"], ["--compressed"], ["-H", "Expect: 100-continue"]]
)
def test_a_submission(server: Server, options: list[str]) -> None:
    status, body = curl(f"{server.url}/tasks", "-d", DATA, "-H", "Content-Type: application/json", *options)
    assert status == 202
    assert server.ended(json.loads(body)["id"])["result"] == {"output": "HELLO"}


def test_json_shorthand_and_a_body_from_a_file(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "task.json"
    file.write_text(json.dumps({"action": "uppercase", "data": {"text": "x" * 900_000}}))
    status, _ = curl(
        f"{server.url}/tasks", "--data-binary", f"@{file}", "-H", "Content-Type: application/json"
    )
    assert status == 202
    status, _ = curl(f"{server.url}/tasks", "-T", str(file), "-X", "POST", "-H", "Transfer-Encoding: chunked")
    assert status == 202


def test_a_body_that_is_too_long_is_answered(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "long"
    file.write_bytes(b"x" * 5_000_000)
    for options in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"]):
        status, body = curl(
            f"{server.url}/tasks",
            "--data-binary",
            f"@{file}",
            "-H",
            "Content-Type: application/json",
            *options,
        )
        assert status == 413
        assert "1MiB" in json.loads(body)["detail"]


def test_several_on_one_connection_and_a_head(server: Server) -> None:
    status, body = curl(f"{server.url}/healthz", f"{server.url}/tasks", f"{server.url}/nowhere")
    assert status == 404
    assert body.startswith('{"status":"ok"}')
    status, head = curl("-I", f"{server.url}/tasks")
    assert status == 200
    assert "content-type: application/json" in head
