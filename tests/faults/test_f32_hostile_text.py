"""F32: hostile text in every field that a client can set: it is data in every answer, and no line of any log."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from support import Answer, Server, serving
from wire import Wire, post

ACTIONS = """
@action(name="*", inline=True, max_attempts=1)
def anything(data: dict[str, Any]) -> dict[str, Any]:
    if data.get("fail"):
        raise ValueError(data["text"])
    return {"output": data.get("text")}

@action(inline=True, max_attempts=1)
def fails(text: str) -> str:
    raise ValueError(text)
"""
HOSTILE = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "a link": "javascript:alert(1)",
    "right to left": "invoice\u202egpj.exe",
    "escapes": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "lines": "one\r\nSet-Cookie: owned=1\r\n\r\nHTTP/1.1 200 OK\nERROR forged",
    "a lone end": "one\u2028two\x85three\x0b",
    "a template": "{{7*7}}${7*7}%(levelname)s%n{0}",
}
every_text = pytest.mark.parametrize("what", HOSTILE)
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("hostile")
    with serving(data, directory=application(data / "app", ACTIONS)) as server:
        yield server


def safe(answer: Answer) -> Any:
    """Check that an answer is nothing but data, and return that."""
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["content-type"] in ("application/json", "application/problem+json")
    assert "set-cookie" not in headers
    assert not any(RAW.search(value) for value in headers.values())
    assert (
        b"Traceback" not in answer.body or answer.status == 200
    )  # of a task's own, for those who may read it
    assert b'File "' not in answer.body or answer.status == 200
    return json.loads(answer.body)


@every_text
def test_F32_hostile_text_comes_back_as_it_was_and_does_nothing(shared: Server, what: str) -> None:
    text = HOSTILE[what]
    task = {"action": "fails", "data": {"text": text}, "tags": [text], "key": text, "fair_key": text}
    answer = shared.request("POST", "/tasks", task)
    id_ = safe(answer)["id"]
    assert answer.headers["location"] == f"/tasks/{id_}"
    ended = shared.ended(id_)
    assert ended["error"]["message"] == text
    assert (ended["tags"], ended["key"], ended["fair_key"], ended["data"]) == (
        [text],
        text,
        text,
        {"text": text},
    )
    page = safe(shared.request("GET", "/tasks?limit=1000"))
    assert any(one["id"] == id_ for one in page["tasks"])
    assert not any(RAW.search(line) for line in shared.text().splitlines())
    assert "forged" not in "".join(line for line in shared.text().splitlines() if line.startswith("ERROR"))


@every_text
def test_F32_names_and_paths_of_hostile_text_are_refused_or_data(shared: Server, what: str) -> None:
    from urllib.parse import quote

    text = HOSTILE[what]
    for path in ("/tasks/{}", "/queues/{}", "/schedules/{}", "/docs/{}", "/{}", "/tasks?{}=1", "/tasks?status={}",
                 "/tasks?cursor={}", "/tasks/{}/why"):  # fmt: skip
        answer = shared.request("GET", path.format(quote(text, safe="")))
        assert answer.status in (400, 404)
        safe(answer)
    for method, path, body in (
        ("POST", "/tasks", {"action": text}),
        ("POST", "/tasks", {"action": "fails", "data": {text: text}}),
        ("POST", "/tasks", {"action": "fails", "data": {"text": text}, "queue": text}),
        ("POST", "/tasks", {text: text}),
        ("POST", "/tasks/bulk", {"tasks": [{"action": text}]}),
        ("POST", "/queues/tasks/pause", {"by": text}),
        ("POST", "/queues/tasks/resume", {}),
        ("PUT", "/schedules/nightly", {"cron": text, "action": text}),
        ("POST", "/queues/tasks/claim", {"worker": text, "actions": [text]}),
        ("POST", "/tasks/prune", {"status": text}),
    ):
        answer = shared.request(method, path, body)
        assert answer.status < 500, answer.body
        safe(answer)
    assert not any(RAW.search(line) for line in shared.text().splitlines())


@pytest.mark.parametrize(
    "header",
    ["Idempotency-Key: <script>", "Prefer: wait=1, \x1b[2J", "X-Request-ID: \x1b[31m", "Origin: <script>",
     "X-Forwarded-For: <script>", "Content-Type: text/<script>", "Authorization: Bearer <script>"],
)  # fmt: skip
def test_F32_no_header_of_a_request_comes_out_as_one(shared: Server, header: str) -> None:
    with Wire(shared.url) as wire:
        body = b'{"action": "fails", "data": {"text": "x"}}'
        wire.send(post(body, header))
        answer = wire.reply()
    assert answer.status in (202, 400, 403, 415)
    assert "<script>" not in str(answer.headers)
    assert "\x1b" not in str(answer.headers)
    safe(answer)


def test_F32_the_page_of_the_docs_runs_its_own_scripts_alone(shared: Server) -> None:
    headers = {name.lower(): value for name, value in shared.request("GET", "/docs").headers.items()}
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"script-src[^;]*(unsafe|\*|data:|https?:)", policy)
    assert headers["x-content-type-options"] == "nosniff"
