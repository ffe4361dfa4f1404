"""test.http tells the truth: each of its requests is sent and gets the status that its title names."""

import re
import urllib.request
from pathlib import Path
from typing import NamedTuple

from support import Answer, Server, eventually

from taskmill import application
from taskmill.http.endpoint import EndpointConfig

FILE = Path(__file__).parents[2] / "test.http"


class Request(NamedTuple):
    title: str
    status: int
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


def read_requests() -> list[Request]:
    """Read the file as a REST client does: a title, a request line, headers, an empty line, a body."""
    requests = []
    for part in re.split(r"^### ", FILE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, rest = part.partition("\n")
        head, _, body = rest.partition("\n\n")
        first, *fields = head.splitlines()
        method, _, url = first.partition(" ")
        headers = {name: value.strip() for name, _, value in (field.partition(":") for field in fields)}
        content = body.strip().encode() or None
        requests.append(Request(title, int(title[:3]), method, url, headers, content))
    return requests


def test_every_request_gets_the_status_of_its_title(server: Server) -> None:
    answers: dict[str, Answer] = {}
    values = {"{{host}}": "", "{{queue}}": "tasks", "{{name}}": "nightly"}

    def send(request: Request) -> Answer:
        url = request.url
        for name, value in values.items():
            url = url.replace(name, value)
        assert "{{" not in url, f"nothing gave a value for {url}"
        if url.partition("?")[0].endswith("/events"):  # no answer that ends by itself
            with urllib.request.urlopen(server.url + url, timeout=20) as stream:
                assert stream.headers["content-type"] == "text/event-stream"
                return Answer(stream.status, dict(stream.headers), b"")
        return server.request(request.method, url, request.body, request.headers)

    for request in read_requests():
        if "{{id}}" in request.url:  # all that was submitted has ended: what follows reads it
            eventually(lambda: len(server.get("/tasks?status=completed").json()["tasks"]) == 7)
        answer = answers[request.title] = send(request)
        assert answer.status == request.status, f"{request.title}: {answer.status} {answer.body!r}"
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json", request.title
            assert answer.json()["detail"], request.title
        elif answer.status == 202 and "on_complete" in answer.json():
            values["{{batch}}"] = answer.json()["id"]
        elif answer.status == 202 and "id" in answer.json():
            values.setdefault("{{id}}", answer.json()["id"])
        elif answer.body and "json" in answer.headers["content-type"] and answer.json().get("next"):
            values["{{cursor}}"] = answer.json()["next"]

    assert answers["200: one task, with its result"].json()["result"] == {"output": "HELLO WORLD"}
    page = answers["200: the page after that"].json()
    assert [task["result"] for task in page["tasks"]] == [{"output": 15}]
    allowed = answers["405: `Allow` names what the path takes"].headers["allow"].split(", ")
    assert {"GET", "POST"} <= set(allowed)
    assert "DELETE" not in allowed


def test_it_holds_every_endpoint_of_the_built_in_application() -> None:
    entries = application.read(application.BUILTIN).entries.values()
    served = {
        (entry.config.method, entry.config.path)
        for entry in entries
        if isinstance(entry.config, EndpointConfig)
        and not entry.config.path.startswith(("/docs", "/dashboard"))  # for browsers
    }
    sent = {
        (
            one.method,
            one.url.partition("?")[0]
            .replace("{{id}}", "{id}")
            .replace("{{batch}}", "{id}")
            .replace("{{queue}}", "{name}")
            .replace("{{name}}", "{name}"),
        )
        for one in read_requests()
    }
    assert served <= {(method, url.removeprefix("{{host}}")) for method, url in sent}
