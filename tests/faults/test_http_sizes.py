"""Requests that are too long: refused before they are gathered."""

import resource
from collections.abc import Iterator

import pytest
from apps import memory
from support import Server, serving
from wire import Wire, post, task

MIB = 2**20
LIMIT = MIB  # of a body, as declared
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"
POST = b"POST /tasks HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("sizes")) as running:
        yield running


def body_of(length: int) -> bytes:
    empty = len(task(""))
    return task("x" * (length - empty))


def test_F29_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(shared: Server) -> None:
    assert shared.request("POST", "/tasks", body_of(LIMIT)).status == 202
    answer = shared.request("POST", "/tasks", body_of(LIMIT + 1))
    assert answer.status == 413
    assert "1MiB" in answer.json()["detail"]


@pytest.mark.parametrize("target", [b"/tasks", b"/task%73"])
def test_F29_so_it_is_in_chunks(shared: Server, target: bytes) -> None:
    for length, status in ((LIMIT, 202), (LIMIT + 1, 413)):
        body = body_of(length)
        cut = LIMIT // 2
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]))
        with Wire(shared.url) as wire:
            wire.send(CHUNKED.replace(b"/tasks", target) + chunks + b"0\r\n\r\n")
            assert wire.reply().status == status
    assert "Traceback" not in shared.text()


def test_F29_a_gigabyte_announced_is_refused_before_it_comes(shared: Server) -> None:
    with Wire(shared.url) as wire:
        wire.send(POST + b"Content-Length: 1073741824\r\n\r\n")
        reply = wire.reply()
        assert reply.status == 413
        assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("target", [b"/tasks", b"/task%73"])
def test_F29_a_gigabyte_in_chunks_is_not_gathered(shared: Server, target: bytes) -> None:
    before = memory(shared.process.pid)
    with Wire(shared.url, timeout=20) as wire:
        wire.send(CHUNKED.replace(b"/tasks", target))
        whole = all(wire.send_until_cut(CHUNK * 16) for _ in range(1024))
        assert not whole  # cut off on the way
        assert memory(shared.process.pid) - before < 16 * MIB
    assert shared.submit("uppercase", {"text": "after"})


def test_F29_a_client_that_sends_on_still_gets_its_413(shared: Server) -> None:
    with Wire(shared.url) as wire:
        wire.send(CHUNKED)
        for _ in range(40):
            wire.send(CHUNK)
        assert wire.reply().status == 413


def test_F29_a_head_of_a_mebibyte_is_refused(shared: Server) -> None:
    for head in (b"X-Long: " + b"a" * MIB, b"a" * MIB):
        with Wire(shared.url) as wire:
            wire.send_until_cut(POST + head + b"\r\n\r\n")
            assert wire.reply().status == 431
    with Wire(shared.url) as wire:
        wire.send_until_cut(b"GET /" + b"a" * MIB + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.reply().status == 431


def test_F29_twenty_thousand_headers_are_refused(shared: Server) -> None:
    for count in (101, 20_000):
        with Wire(shared.url) as wire:
            wire.send_until_cut(POST + b"a:b\r\n" * count + b"\r\n")
            assert wire.reply().status == 431


def test_F29_a_hundred_headers_are_fine(shared: Server) -> None:
    with Wire(shared.url) as wire:
        headers = [f"X-{n}: {'v' * 500}" for n in range(98)]
        assert wire.send(post(task("headers"), *headers)).reply().status == 202


@pytest.mark.parametrize(
    "endless",
    [b"a: b\r\n" * 10_000, b"c" * 60_000],
    ids=["trailers", "a trailer"],
)
def test_F29_endless_trailers_are_refused(shared: Server, endless: bytes) -> None:
    before = memory(shared.process.pid)
    with Wire(shared.url, timeout=20) as wire:
        wire.send(CHUNKED + b"2\r\n{}\r\n0\r\n")
        whole = all(wire.send_until_cut(endless) for _ in range(2000))
        assert not whole
    assert memory(shared.process.pid) - before < 16 * MIB


def test_F29_an_endless_chunk_extension_is_refused(shared: Server) -> None:
    with Wire(shared.url, timeout=20) as wire:
        wire.send(CHUNKED + b"2;")
        assert not all(wire.send_until_cut(b"e" * 60_000) for _ in range(2000))


def test_F29_a_page_is_capped(shared: Server) -> None:
    assert shared.get("/tasks?limit=1000").status == 200
    assert shared.get("/tasks?limit=1001").status == 400


def test_F29_a_page_of_long_tasks_is_cut_and_goes_on(shared: Server) -> None:
    ids = [shared.request("POST", "/tasks", body_of(LIMIT)).json()["id"] for _ in range(40)]
    for id_ in ids:
        shared.ended(id_)
    before = memory(shared.process.pid)
    found: list[str] = []
    cursor = ""
    while len(found) < 40:
        page = shared.get(f"/tasks?limit=1000{cursor}").json()
        assert sum(len(one["data"]["text"]) for one in page["tasks"]) < 20 * MIB
        assert page["count"] == len(page["tasks"])
        found += [one["id"] for one in page["tasks"]]
        cursor = f"&cursor={page['next']}"
    assert found[:40] == ids[::-1]
    assert memory(shared.process.pid) - before < 100 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
