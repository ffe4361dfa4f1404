"""Requests whose end can be read in two ways: refused, and nothing that follows them is run."""

import pytest
from support import Server
from wire import Wire, post, task

SMUGGLED = post(task("smuggled"))
BODY = task("outer")
POST = b"POST /tasks HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

AMBIGUOUS = {
    "a length and chunks": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nContent-Length: 0\r\n\r\n%b"
    % (len(BODY), BODY),
    "the same length twice": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), len(BODY), BODY),
    "a list of lengths": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n",
    "a signed length": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
    "a hexadecimal length": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n",
    "a length beyond 64 bits": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "an unknown coding": b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a folded header": b"POST /tasks HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n",
    "a space before the first header": b"POST /tasks HTTP/1.1\r\n Host: x\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"POST /tasks HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "one bare line feed": b"POST /tasks HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n",
    "a bare carriage return": POST + b"X-A: 1\rContent-Length: 5\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a header": b"POST /tasks HTTP/1.1\r\nHost: x\r\nX-A: 1\x002\r\nContent-Length: 0\r\n\r\n",
    "a bad end of a chunk": b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n",
    "a chunk ended by a line feed": b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nab\n0\r\n\r\n",
    "a signed chunk length": CHUNKED + b"+2\r\nab\r\n0\r\n\r\n",
    "a chunk length beyond 64 bits": b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"10000000000000000\r\nab\r\n0\r\n\r\n",
    "no host": b"POST /tasks HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": b"POST /tasks HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n",
    "no version": b"POST /tasks\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a version from the future": b"POST /tasks HTTP/3.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "an unknown method": b"POSTT /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """One server for the file: no case may harm it."""
    from support import serving

    with serving(tmp_path_factory.mktemp("framing")) as running:
        yield running


def texts(server: Server) -> list[str]:
    tasks = server.get("/tasks?action=uppercase&limit=1000").json()["tasks"]
    return [one["data"].get("text") for one in tasks]


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_F30_an_ambiguous_request_is_refused_and_what_follows_is_not_run(shared: Server, case: str) -> None:
    with Wire(shared.url) as wire:
        wire.send(AMBIGUOUS[case] + SMUGGLED)
        reply = wire.reply()
        assert reply.status == 400
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["connection"] == "close"
        assert reply.json()["detail"]
        assert wire.rest() == b""  # closed, with no second answer
    assert "smuggled" not in texts(shared)
    assert shared.get("/healthz").status == 200


@pytest.mark.parametrize("case", ["an unknown coding", "two hosts", "a bad end of a chunk"])
def test_F30_so_it_is_when_what_follows_comes_later(shared: Server, case: str) -> None:
    with Wire(shared.url) as wire:
        wire.send(AMBIGUOUS[case])
        assert wire.reply().status == 400
        wire.send_until_cut(SMUGGLED)
        assert wire.rest() == b""
    assert "smuggled" not in texts(shared)


@pytest.mark.parametrize("target", ["/tasks", "/task%73"])
def test_F30_what_follows_a_request_that_ends_the_connection_is_not_run(shared: Server, target: str) -> None:
    with Wire(shared.url) as wire:
        wire.send(post(b"not JSON", close=True, target=target) + SMUGGLED)
        assert wire.reply().status == 400
        assert wire.rest() == b""
    assert "smuggled" not in texts(shared)


@pytest.mark.parametrize("target", ["/tasks", "/task%73"])
def test_F30_a_good_request_before_a_bad_one_has_its_own_answer_first(shared: Server, target: str) -> None:
    with Wire(shared.url) as wire:
        wire.send(post(task(f"before {target}"), target=target) + AMBIGUOUS["two hosts"] + SMUGGLED)
        assert wire.reply().status == 202
        assert wire.reply().status == 400
        assert wire.rest() == b""
    assert f"before {target}" in texts(shared)
    assert "smuggled" not in texts(shared)


def test_F30_trailers_are_not_taken_for_headers(shared: Server) -> None:
    body = task("trailers")
    chunk = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    with Wire(shared.url) as wire:
        wire.send(
            b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunk
            + b"Content-Type: text/plain\r\nHost: y\r\n\r\n"
        )
        assert wire.reply().status == 202


@pytest.mark.parametrize("target", ["/tasks", "/task%73"])
@pytest.mark.parametrize("at_once", [True, False])
def test_F30_an_upgrade_is_ignored_and_its_body_is_a_body(shared: Server, target: str, at_once: bool) -> None:
    # Java's client asks for HTTP/2 this way with its first request, whatever that is.
    first, second = (
        post(task(f"upgrade {n}"), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", target=target)
        for n in "12"
    )
    with Wire(shared.url) as wire:
        if at_once:
            wire.send(first + second)
        else:
            head, _, body = first.partition(b"\r\n\r\n")
            wire.send(head + b"\r\n\r\n")
            wire.send(body + second)
        assert wire.reply().status == 202
        assert wire.reply().status == 202
    assert {"upgrade 1", "upgrade 2"} <= set(texts(shared))
