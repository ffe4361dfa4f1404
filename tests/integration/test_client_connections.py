"""Both clients against servers that misbehave: what is sent again, when, and what is raised."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from either_client import KINDS, client
from scripted import CUT, SILENCE, THEN_CLOSE, Scripted, answer
from support import eventually, require

from taskmill.client import NotTaskmill, ProblemError, ServerAway

ID = "01a20fae-80e6-7000-9508-db9b96734f44"
ACCEPTED = answer(202, {"id": ID, "status": "queued"})
OK = answer(200, {"queues": []})

both = pytest.mark.parametrize("kind", KINDS)


def task(status: str) -> dict[str, Any]:
    names = [
        "key",
        "fair_key",
        "timeout",
        "run_at",
        "expires_at",
        "started_at",
        "finished_at",
        "result",
        "error",
    ]
    return {
        **dict.fromkeys(names), "id": ID, "action": "a", "data": {}, "status": status, "queue": "q", "priority": 0,
        "tags": [], "attempt": 0, "max_attempts": 3, "created_at": "2026-01-02T03:04:05.678Z", "of the future": 1,
    }  # fmt: skip


@both
def test_a_connection_is_used_again(kind: str) -> None:
    with Scripted([OK, ACCEPTED, OK]) as server, client(kind, server.url) as mill:
        mill.queues()
        assert mill.submit("a").id == ID
        mill.queues()
        assert [request.connection for request in server.requests] == [1, 1, 1]
        assert [request.line for request in server.requests] == [
            "GET /queues HTTP/1.1", "POST /tasks HTTP/1.1", "GET /queues HTTP/1.1",
        ]  # fmt: skip


@both
def test_one_that_the_server_has_closed_is_not(kind: str) -> None:
    with Scripted([OK + THEN_CLOSE, answer(200, task("queued"))]) as server, client(kind, server.url) as mill:
        mill.queues()
        eventually(lambda: _closed(mill), 10)
        assert mill.retry(ID).status == "queued"  # which is sent only once
        assert [request.connection for request in server.requests] == [1, 2]


def _closed(mill: Any) -> bool:
    pool = getattr(mill, "_inside", mill)._pool
    (idle,) = pool._idle
    return bool(idle.stale() if hasattr(idle, "stale") else idle[0].at_eof())


@both
def test_a_submission_that_was_cut_off_is_sent_again_as_the_same(kind: str) -> None:
    with Scripted([CUT, CUT, ACCEPTED, ACCEPTED]) as server, client(kind, server.url) as mill:
        assert mill.submit("a", {"n": 1}).id == ID
        mill.submit("a", {"n": 1})
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert keys[0] == keys[1] == keys[2] != keys[3]
        assert all(request.body == {"action": "a", "data": {"n": 1}} for request in server.requests)


@both
def test_what_must_not_be_done_twice_is_not_sent_twice(kind: str) -> None:
    with Scripted([CUT]) as server, client(kind, server.url) as mill:
        with pytest.raises(ServerAway, match="The request was sent, and may have been done") as away:
            mill.retry(ID)
        assert away.value.maybe_done
        assert len(server.requests) == 1


@both
def test_what_a_lost_answer_had_done_is_no_error(kind: str) -> None:
    refused = answer(409, {"detail": "The task is cancelled."})
    missing = answer(404, {"detail": "No schedule has this name."})
    script = [
        CUT,
        refused,
        answer(200, task("cancelled")),
        CUT,
        missing,
        CUT,
        refused,
        answer(200, task("failed")),
    ]
    with Scripted(script) as server, client(kind, server.url) as mill:
        assert mill.cancel(ID).status == "cancelled"
        mill.delete_schedule("hourly")
        with pytest.raises(ProblemError) as error:
            mill.cancel(ID)
        assert (error.value.status, error.value.repeated) == (409, True)
        assert len(server.requests) == 8


@both
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded(kind: str, status: int) -> None:
    later = answer(status, {"detail": "Later."}, "Retry-After: 1")
    with Scripted([later, ACCEPTED]) as server, client(kind, server.url) as mill:
        mill.submit("a")
        first, second = server.requests
        assert 1.0 <= second.at - first.at < 10
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@both
def test_what_is_longer_than_the_clients_patience_is_raised_at_once(kind: str) -> None:
    later = answer(503, {"detail": "Later."}, "Retry-After: 60")
    with Scripted([later, later]) as server, client(kind, server.url, retry_for=5) as mill:
        with pytest.raises(ProblemError, match=r"Later\.") as error:
            mill.submit("a")
        assert (error.value.status, error.value.retry_after, len(server.requests)) == (503, 60, 1)


@both
def test_a_proxys_trouble_is_tried_again_where_that_is_safe(kind: str) -> None:
    bad = answer(502, "Bad Gateway")
    with Scripted([bad, ACCEPTED, bad]) as server, client(kind, server.url) as mill:
        assert mill.submit("a").id == ID
        with pytest.raises(ProblemError, match="the server answered with status 502"):
            mill.retry(ID)
        assert len(server.requests) == 3


@both
def test_a_silent_server_is_away(kind: str) -> None:
    with (
        Scripted([SILENCE]) as server,
        client(kind, server.url, timeout=0.2, retry_for=0) as mill,
        pytest.raises(ServerAway, match="no answer in time"),
    ):
        mill.queues()


@both
def test_where_nobody_listens_it_says_what_mends_that(kind: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with client(kind, url, retry_for=0.2) as mill, pytest.raises(ServerAway) as away:
            mill.submit("a")
    assert (away.value.url, away.value.reason, away.value.maybe_done) == (url, "Connection refused", False)
    assert str(away.value) == (
        f"no server answers at {url} (Connection refused): start one with `taskmill run`, or name another with "
        "Client(url=…), configure(url=…) or TASKMILL_URL"
    )


@both
def test_answers_of_every_form_are_read(kind: str) -> None:
    body = b'{"queues":[]}'
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + body[:5] + b"\r\n8\r\n" + body[5:]
    )
    until_closed = b"HTTP/1.1 200 OK\r\n\r\n" + body + THEN_CLOSE
    script = [interim + OK, chunked + b"\r\n0\r\n\r\n", until_closed, b"HTTP/1.1 204 No Content\r\n\r\n", OK]
    with Scripted(script) as server, client(kind, server.url) as mill:
        for _ in range(3):
            assert mill.queues() == []
        mill.delete_schedule("x")
        assert mill.queues() == []
        assert [request.connection for request in server.requests] == [1, 1, 1, 2, 2]


@both
def test_what_is_cut_in_its_middle_is_no_answer(kind: str) -> None:
    with (
        Scripted([OK[:-3] + THEN_CLOSE]) as server,
        client(kind, server.url, retry_for=0) as mill,
        pytest.raises(ServerAway, match="the server closed the connection"),
    ):
        mill.queues()


@both
@pytest.mark.parametrize("said", [answer(200, ["something", "else"]), answer(200, "")[:-2] + b'\xff"'])
def test_another_program_is_told_apart(kind: str, said: bytes) -> None:
    with (
        Scripted([said]) as server,
        client(kind, server.url) as mill,
        pytest.raises(NotTaskmill, match="is no Taskmill: status 200"),
    ):
        mill.queues()


@both
def test_what_speaks_no_http_is_told_apart(kind: str) -> None:
    with (
        Scripted([b"220 mail.example.org ESMTP\r\n"]) as server,
        client(kind, server.url, retry_for=0) as mill,
        pytest.raises(ServerAway, match="speaks no HTTP"),
    ):
        mill.queues()


@both
def test_no_more_connections_are_open_than_may_be(kind: str) -> None:
    with Scripted([ACCEPTED] * 60) as server, client(kind, server.url, connections=2) as mill:
        mill.submit_many([_submission(start_by="1h") for _ in range(60)])  # a request each
        assert len({request.connection for request in server.requests}) <= 2
        assert len(server.requests) == 60


def _submission(**options: Any) -> Any:
    from taskmill.client import Submission

    return Submission("a", **options)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = require(shutil.which("openssl"), "apt-get install openssl")
    directory = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]  # fmt: skip
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=60)
    return directory


@both
def test_https_goes_by_certificates(kind: str, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with Scripted([OK, OK], context) as server:
        with client(kind, server.url, retry_for=0) as mill, pytest.raises(ServerAway, match="certificate"):
            mill.queues()
        with client(kind, server.url, tls=trusting) as mill:
            assert mill.queues() == []
            assert mill.queues() == []
        assert len({request.connection for request in server.requests}) == 1


@both
def test_a_token_and_a_path_are_sent_and_nothing_is_smuggled(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKMILL_TOKEN", "of the environment")
    with Scripted([OK, OK]) as server:
        for token, expected in (("s3cret", "s3cret"), ("", "of the environment")):
            with client(kind, f"{server.url}/mill/", token=token) as mill:
                mill.queues()
            request = server.requests[-1]
            assert request.line == "GET /mill/queues HTTP/1.1"
            assert request.headers["authorization"] == f"Bearer {expected}"
        with (
            client(kind, server.url, token="x\r\nX-Evil: 1") as mill,
            pytest.raises(ValueError, match="ASCII"),
        ):
            mill.queues()
        assert len(server.requests) == 2
