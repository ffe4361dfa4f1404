"""HTTP as clients use it: odd but right requests are served, wrong ones get an answer that says what to do."""

from collections.abc import Iterator

import pytest
from support import Server, serving
from wire import Wire, post, task


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("api_http")) as running:
        yield running


def test_a_hundred_pipelined_submissions_are_answered_in_order(api: Server) -> None:
    bodies = [task(f"pipelined {n}") if n % 7 else b"bad" for n in range(100)]
    with Wire(api.url) as wire:
        wire.send(b"".join(post(body) for body in bodies))
        replies = [wire.reply() for _ in bodies]
    assert [reply.status for reply in replies] == [202 if n % 7 else 400 for n in range(100)]
    ids = [reply.json()["id"] for reply in replies if reply.status == 202]
    assert ids == sorted(ids)
    texts = [api.get(f"/tasks/{id_}").json()["data"]["text"] for id_ in ids]
    assert texts == [f"pipelined {n}" for n in range(100) if n % 7]


def test_pipelined_requests_of_both_ways_are_answered_in_order(api: Server) -> None:
    with Wire(api.url) as wire:
        wire.send((b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + post(task("x")) + post(b"bad")) * 20)
        assert [wire.reply().status for _ in range(60)] == [200, 202, 400] * 20


def test_thousands_of_pipelined_requests_that_are_answered_at_once(api: Server) -> None:
    with Wire(api.url, timeout=20) as wire:
        wire.send(post(task("x")) + post(b"{") * 3000 + post(task("y")))
        assert [wire.reply().status for _ in range(3002)] == [202, *[400] * 3000, 202]


def test_a_client_that_waits_for_100_continue_gets_it(api: Server) -> None:
    body = task("expected")
    head = post(body, "Expect: 100-continue")[: -len(body)]
    for target in (b"/tasks", b"/task%73"):
        with Wire(api.url) as wire:
            wire.send(head.replace(b"/tasks", target))
            assert wire.reply().status == 100
            wire.send(body)
            assert wire.reply().status == 202


def test_one_behind_another_request_gets_its_100_continue_too(api: Server) -> None:
    body = task("expected")
    head = post(body, "Expect: 100-continue")[: -len(body)]
    with Wire(api.url) as wire:
        wire.send(post(task("first")) + head)
        assert [wire.reply().status, wire.reply().status] == [202, 100]
        wire.send(body)
        assert wire.reply().status == 202


def test_no_100_continue_for_a_body_that_is_too_long(api: Server) -> None:
    with Wire(api.url) as wire:
        wire.send(
            b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n"
        )
        assert wire.reply().status == 413


@pytest.mark.parametrize("target", ["/tasks", "/healthz", "/tasks/nonsense", "/nowhere"])
def test_head_is_get_without_the_body(api: Server, target: str) -> None:
    with Wire(api.url) as wire:
        wire.send(
            f"HEAD {target} HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        head = wire.reply(head_only=True)
        assert head.status == api.get(target).status
        assert int(head.headers["content-length"]) > 0
        assert wire.reply().json() == {"status": "ok"}


def test_http_1_0_is_served(api: Server) -> None:
    plain = post(task("1.0")).replace(b"HTTP/1.1\r\nHost: x", b"HTTP/1.0")
    with Wire(api.url) as wire:
        assert wire.send(plain).reply().status == 202
        assert wire.rest() == b""
    lasting = plain.replace(b"HTTP/1.0\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n")
    with Wire(api.url) as wire:
        for _ in range(3):
            assert wire.send(lasting).reply().status == 202


@pytest.mark.parametrize("target", ["/task%73", "/%74asks", "http://elsewhere.example/tasks"])
def test_other_ways_to_write_the_path(api: Server, target: str) -> None:
    with Wire(api.url) as wire:
        reply = wire.send(post(task("path"), target=target)).reply()
        assert reply.status == 202
        id_ = reply.json()["id"]
        assert reply.headers["location"] == f"/tasks/{id_}"
        assert wire.send(post(b"{}", target=target)).reply().status == 400


@pytest.mark.parametrize(
    "target", ["*", "//tasks", "/tasks/", "/TASKS", "/tasks/a/b", "/../tasks", "/tasks%00"]
)
def test_paths_that_are_not_served(api: Server, target: str) -> None:
    with Wire(api.url) as wire:
        reply = wire.send(f"OPTIONS {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode()).reply()
    assert reply.status in (400, 404)
    assert reply.headers["content-type"] == "application/problem+json"
    assert "location" not in reply.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_405_says_what_is_allowed(api: Server, method: str) -> None:
    answer = api.request(method, "/tasks")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.request(method, "/healthz").headers["allow"] == "GET, HEAD"


def test_404_is_a_problem(api: Server) -> None:
    for path in ("/nowhere", "/tasks/nonsense", "/tasks/019ab000-0000-7000-8000-000000000000"):
        answer = api.get(path)
        assert answer.status == 404
        problem = answer.json()
        assert problem["title"] == "Not Found"
        assert problem["status"] == 404
        assert problem["detail"]


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8", 202),
        ("APPLICATION/JSON", 202),
        ("application/vnd.example+json", 202),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonp", 415),
    ],
)
def test_the_media_type_is_checked(api: Server, media_type: str, status: int) -> None:
    answer = api.request("POST", "/tasks", task("typed"), {"Content-Type": media_type})
    assert answer.status == status
    if status == 415:
        assert "application/json" in answer.json()["detail"]


def test_without_a_media_type_a_body_is_taken_for_json(api: Server) -> None:
    with Wire(api.url) as wire:
        assert wire.send(post(task("untyped"))).reply().status == 202


@pytest.mark.parametrize(
    ("query", "path", "words"),
    [
        ("statuss=queued", "statuss", "did you mean `status`?"),
        ("colour=red", "colour", "known are limit, cursor, status, action, queue, key, tag, created_after"),
        ("status=complete", "status", "did you mean `completed`?"),
        ("status=queued&status=failed", "status", "given twice"),
        ("limit=0", "limit", ">= 1"),
        ("limit=1001", "limit", "<= 1000"),
        ("limit=99999999999999999999", "limit", ""),
        ("limit=ten", "limit", "`int`"),
        ("limit=", "limit", "`int`"),
        ("cursor=nonsense", "cursor", "not a cursor"),
        ("cursor=%00", "cursor", "not a cursor"),
    ],
)
def test_a_wrong_query_parameter_is_named(api: Server, query: str, path: str, words: str) -> None:
    answer = api.get(f"/tasks?{query}")
    assert answer.status == 400
    (error,) = answer.json()["errors"]
    assert error["path"] == path
    assert words in error["message"]


@pytest.mark.parametrize("query", ["status=%ff", "%ff=1", "&".join(f"a{n}=" for n in range(200))])
def test_a_query_that_cannot_be_read(api: Server, query: str) -> None:
    assert api.get(f"/tasks?{query}").status == 400


def test_one_task_takes_no_parameters(api: Server) -> None:
    id_ = api.submit("uppercase", {"text": "one"})
    assert api.get(f"/tasks/{id_}?status=queued").status == 400
