"""Middleware of a router, over both ways to its endpoints and on every kind of answer."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from secured import bearer, make_keys
from support import Answer, Server, eventually, serving
from wire import Wire, post, task

PIECES = """
  - {name: near, kind: http.middleware.proxies, trusted: [127.0.0.0/8]}
  - {name: ids, kind: http.middleware.request_id}
  - {name: strict, kind: http.middleware.headers, hsts: 1d, add: {X-Served-By: mill}}
  - {name: pages, kind: http.middleware.cors, origins: ["https://shop.example"]}
  - {name: addresses, kind: http.middleware.rate_limit, limit: 3, per: 1h, by: address, scopes: [admin]}
  - {name: each, kind: http.middleware.rate_limit, limit: 2, per: 1h, scopes: [read]}
  - {name: small, kind: http.middleware.compression, smallest: 200B}
  - {name: streamed, kind: function.python, source: "file://more.py", method: streamed}
  - {name: streamed.end, kind: http.endpoint, meta: {router: router}, path: /streamed, func: streamed, scope: public}
  - {name: broken, kind: function.python, source: "file://more.py", method: broken}
  - {name: broken.endpoint, kind: http.endpoint, meta: {router: router}, path: /broken, func: broken, scope: public}
  - {name: where, kind: function.python, source: "file://more.py", method: where}
  - {name: where.endpoint, kind: http.endpoint, meta: {router: router}, path: /where, func: where, scope: public}
"""
MORE = """
from starlette.responses import StreamingResponse

async def streamed(request):
    async def parts():
        for number in range(100):
            yield b"data: " + b"x" * 50 + b"\\n\\n"
    return StreamingResponse(parts(), media_type="text/event-stream")

async def broken(request):
    raise RuntimeError("the secret inside")

async def where(request):
    return {"client": request.client.host}
"""
ROUTER = "    meta: {server: gateway}\n"
ORDER = "    middleware: [near, ids, strict, pages, addresses, keys, each, small]\n"
SHOP = {"Origin": "https://shop.example"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    data = tmp_path_factory.mktemp("middleware")
    app = application(data / "app", "@action(inline=True)\ndef echo(text: str) -> str:\n    return text\n")
    index = (app / "_index.yaml").read_text()
    assert index.count(ROUTER) == 1
    (app / "_index.yaml").write_text(index.replace(ROUTER, ROUTER + ORDER) + PIECES)
    (app / "more.py").write_text(MORE)
    keys = make_keys(data)
    with serving(data, directory=app) as server:
        yield server, keys


def ask(served: tuple[Server, dict[str, str]], scope: str, method: str, path: str, body: object = None,
        **headers: str) -> Answer:  # fmt: skip
    server, keys = served
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.request(method, path, body, {**bearer(keys[scope]), **given})
    answer.headers = {name.lower(): value for name, value in answer.headers.items()}
    return answer


@pytest.mark.parametrize(
    ("scope", "method", "path", "body", "status"),
    [
        ("submit", "POST", "/tasks", {"action": "echo", "data": {"text": "a"}}, 202),  # the short way
        ("submit", "POST", "/tasks", {"action": "none"}, 400),
        ("submit", "POST", "/t%61sks", {"action": "echo", "data": {"text": "a"}}, 202),  # the long way to it
        ("observe", "GET", "/tasks", None, 200),
        ("observe", "GET", "/tasks?limit=x", None, 400),
        ("observe", "GET", "/tasks/01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11", None, 404),
        ("submit", "GET", "/tasks", None, 403),
        ("submit", "GET", "/broken", None, 500),
    ],
)
def test_each_answer_has_what_the_pieces_add(
    served: tuple[Server, dict[str, str]], scope: str, method: str, path: str, body: object, status: int
) -> None:
    answer = ask(served, scope, method, path, body, X_Request_ID="job-7", **SHOP)
    assert answer.status == status, answer.body
    assert answer.headers["x-request-id"] == "job-7"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["strict-transport-security"].startswith("max-age=86400")
    assert answer.headers["x-served-by"] == "mill"
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body


def test_a_failure_is_found_in_the_log_by_its_request(served: tuple[Server, dict[str, str]]) -> None:
    assert ask(served, "admin", "GET", "/broken", X_Request_ID="look-for-me").status == 500
    eventually(lambda: "GET /broken failed (request look-for-me)" in served[0].text())


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129, "a;b", "\u00e4"])
def test_a_request_gets_a_new_name_where_its_own_is_none(
    served: tuple[Server, dict[str, str]], sent: str
) -> None:
    server, _ = served
    with Wire(server.url) as wire:
        head = f"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Request-ID: {sent}\r\n\r\n"
        name = wire.send(head.encode("latin-1")).reply().headers["x-request-id"]
    assert len(name) == 32
    assert int(name, 16) >= 0


def test_the_page_of_the_docs_keeps_its_own_policy(served: tuple[Server, dict[str, str]]) -> None:
    answer = ask(served, "observe", "GET", "/docs")
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_browsers_are_told_what_a_page_may(served: tuple[Server, dict[str, str]]) -> None:
    server, _ = served
    asked = {**SHOP, "Access-Control-Request-Method": "POST"}
    answer = server.request("OPTIONS", "/tasks", None, asked)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert answer.status == 204
    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert set(headers["access-control-allow-methods"].split(", ")) == {"GET", "POST"}
    assert "Authorization" in headers["access-control-allow-headers"]
    other = server.request("OPTIONS", "/tasks", None, {**asked, "Origin": "https://evil.example"})
    assert not any(name.lower() == "access-control-allow-origin" for name in other.headers)


def test_a_page_of_another_origin_changes_nothing(served: tuple[Server, dict[str, str]]) -> None:
    _, keys = served
    body = {"action": "echo", "data": {"text": "a"}}
    assert ask(served, "submit", "POST", "/tasks", body, **SHOP).status == 202
    assert ask(served, "submit", "POST", "/tasks", body, Origin="https://evil.example").status == 403
    with Wire(served[0].url) as wire:  # as a form would: no type, and no question before
        headers = [f"Authorization: Bearer {keys['submit']}", "Sec-Fetch-Site: cross-site"]
        assert wire.send(post(task("a", "echo"), *headers)).reply().status == 403


def test_callers_have_their_own_limits(served: tuple[Server, dict[str, str]]) -> None:
    answers = [ask(served, scope, "GET", "/schedules") for scope in ("read", "read", "read", "admin")]
    assert [answer.status for answer in answers] == [200, 200, 429, 200]
    first, _, over, _ = answers
    assert first.headers["ratelimit-policy"] == '"each";q=2;w=3600'
    assert first.headers["ratelimit"].startswith('"each";r=1;t=')
    assert over.headers["ratelimit"].startswith('"each";r=0;t=')
    assert 1 <= int(over.headers["retry-after"]) <= 1800
    assert over.headers["content-type"] == "application/problem+json"


def test_an_address_is_counted_before_its_key_is_looked_at(served: tuple[Server, dict[str, str]]) -> None:
    server, _ = served

    def guess(address: str) -> int:
        headers = {**bearer("tm_guess"), "X-Forwarded-For": f"9.9.9.9, {address}"}
        return server.request("POST", "/tasks/prune", {}, headers).status

    assert [guess("198.51.100.7") for _ in range(4)] == [401, 401, 401, 429]
    assert guess("198.51.100.8") == 401


def test_endpoints_see_the_address_behind_the_proxy(served: tuple[Server, dict[str, str]]) -> None:
    assert ask(served, "admin", "GET", "/where", X_Forwarded_For="203.0.113.5").json() == {
        "client": "203.0.113.5"
    }
    assert ask(served, "admin", "GET", "/where").json() == {"client": "127.0.0.1"}


def test_long_answers_are_compressed_on_both_ways(served: tuple[Server, dict[str, str]]) -> None:
    body = {"action": "echo", "data": {"text": "a" * 1000}}
    id_ = ask(served, "submit", "POST", "/tasks", body).json()["id"]
    for path in (f"/tasks/{id_}", "/tasks?action=echo"):  # direct, and not
        plain = ask(served, "read", "GET", path, X_Request_ID="1")
        packed = ask(served, "read", "GET", path, Accept_Encoding="gzip")
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert len(packed.body) == int(packed.headers["content-length"]) < len(plain.body)
        assert json.loads(gzip.decompress(packed.body)).keys() == plain.json().keys()
        with Wire(served[0].url) as wire:
            head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served[1]['observe']}\r\n\r\n"
            assert b"vary: accept-encoding\r\n" in wire.send(head.encode()).until(b"\r\n\r\n")
    short = ask(
        served, "submit", "POST", "/tasks", {"action": "echo", "data": {"text": "a"}}, Accept_Encoding="gzip"
    )
    assert "content-encoding" not in short.headers
    head = ask(served, "observe", "HEAD", "/tasks?action=echo", Accept_Encoding="gzip")
    assert head.status == 200
    assert head.body == b""


def test_what_is_streamed_is_not_compressed(served: tuple[Server, dict[str, str]]) -> None:
    answer = ask(served, "admin", "GET", "/streamed", Accept_Encoding="gzip")
    assert answer.status == 200
    assert "content-encoding" not in answer.headers
    assert answer.body.count(b"data: ") == 100


def test_files_that_are_compressed_already_are_not_compressed_again(
    served: tuple[Server, dict[str, str]],
) -> None:
    answer = ask(served, "admin", "GET", "/docs/swagger-ui.css", Accept_Encoding="gzip")
    assert gzip.decompress(answer.body).startswith(b".swagger-ui")


def test_a_router_is_checked_before_it_starts(tmp_path: Path) -> None:
    from taskmill.application import read
    from taskmill.registry import RegistryError

    app = application(tmp_path / "app", "")
    index = (app / "_index.yaml").read_text()
    wrong = """
  - {name: a, kind: http.middleware.cors, origins: ["*"], credentials: true}
  - {name: b, kind: http.middleware.proxies, trusted: [10.0.0.1/8]}
  - {name: c, kind: http.middleware.rate_limit, limit: 0}
"""
    (app / "_index.yaml").write_text(index.replace(ROUTER, ROUTER + "    middleware: [db]\n") + wrong)
    with pytest.raises(RegistryError) as caught:
        read(app)
    text = str(caught.value)
    assert "limit" in text
    assert "db" in text
    (app / "_index.yaml").write_text(index + wrong.rpartition("  - {name: c")[0])
    with pytest.raises(RegistryError) as caught:
        read(app)
    text = str(caught.value)
    assert "name the origins" in text
    assert "has host bits set" in text
