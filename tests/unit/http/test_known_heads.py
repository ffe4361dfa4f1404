"""A head that was read before is not read again: what comes of it is the same."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Server, eventually, serving
from wire import Wire, post, task

from taskmill.http import Exchange
from taskmill.http.heads import LONGEST, MOST, Heads
from taskmill.http.wire import ConnectionExchange

JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the file: no case may harm it."""
    with serving(tmp_path_factory.mktemp("heads")) as running:
        yield running


def result(server: Server, answer_id: str) -> object:
    return eventually(lambda: server.get(f"/tasks/{answer_id}").json()["result"])


def test_each_of_many_requests_with_one_head_is_its_own_task(shared: Server) -> None:
    with Wire(shared.url) as wire:
        ids = [wire.send(post(task(text), JSON)).reply().json()["id"] for text in ("aa", "bb", "cc", "dd")]
    assert [result(shared, id_) for id_ in ids] == [{"output": text} for text in ("AA", "BB", "CC", "DD")]


def test_the_head_of_one_connection_serves_another_and_a_bad_body_is_refused_each_time(
    shared: Server,
) -> None:
    bad = b"{" + b"x" * (len(task("aa")) - 1)
    for _ in range(3):
        with Wire(shared.url) as wire:
            assert wire.send(post(task("aa"), JSON)).reply().status == 202
            assert wire.send(post(bad, JSON)).reply().status == 400
            assert wire.send(post(task("bb"), JSON)).reply().status == 202


def test_a_known_head_with_another_media_type_or_key_is_another_head(shared: Server) -> None:
    with Wire(shared.url) as wire:
        for _ in range(3):
            assert wire.send(post(task("aa"), JSON)).reply().status == 202
            assert wire.send(post(task("aa"), "Content-Type: text/plain")).reply().status == 415
        first = wire.send(post(task("aa"), "Idempotency-Key: heads")).reply()
        again = wire.send(post(task("aa"), "Idempotency-Key: heads")).reply()
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"


def test_what_follows_a_known_request_is_read_as_the_next_one(shared: Server) -> None:
    request = post(task("aa"), JSON)
    with Wire(shared.url) as wire:
        for _ in range(3):
            assert wire.send(request).reply().status == 202
        wire.send(request + request + request)
        assert [wire.reply().status for _ in range(3)] == [202, 202, 202]
        wire.send(request + b"nonsense\r\n\r\n")
        assert [wire.reply().status for _ in range(2)] == [202, 400]


def test_a_known_head_may_close_the_connection(shared: Server) -> None:
    for _ in range(3):
        with Wire(shared.url) as wire:
            assert wire.send(post(task("aa"), JSON, close=True)).reply().headers["connection"] == "close"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 400), max_size=4))
def test_wherever_the_bytes_are_cut_the_answers_are_the_same(shared: Server, cuts: list[int]) -> None:
    data = post(task("aa"), JSON) * 3
    with Wire(shared.url) as wire:
        last = 0
        for cut in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
            wire.send(data[last:cut])
            last = cut
        assert [wire.reply().status for _ in range(3)] == [202, 202, 202]


class Client:
    """A connection on which nothing is under way."""

    cycle = None
    deadline = 0.0


def handled(exchange: Exchange) -> None:
    exchange.body = b"handled " + exchange.body


def keep(
    heads: Heads, data: bytes, *headers: tuple[bytes, bytes], body: bytes = b"{}", keep_alive: bool = True
) -> None:
    connection: Any = Client()
    exchange = ConnectionExchange(connection, handled, [(b"host", b"x"), *headers], keep_alive=keep_alive)
    exchange.body = body
    heads.keep(data, exchange)


def found(heads: Heads, data: bytes) -> bytes | None:
    """Return the body that is handled, if one is."""
    connection: Any = Client()
    if not heads.handle(connection, data):
        return None
    body: bytes = connection.cycle.body
    return body


HEAD = b"POST / HTTP/1.1\r\n\r\n"
TWO = (b"content-length", b"2")


@pytest.mark.parametrize(
    "headers",
    [(), ((b"transfer-encoding", b"chunked"),), ((b"content-length", b"3"),), ((b"content-length", b"+2"),), (TWO, TWO),
     (TWO, (b"expect", b"100-continue"))],
)  # fmt: skip
def test_only_requests_of_one_declared_length_are_kept(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    heads = Heads()
    keep(heads, HEAD + b"{}", *headers)
    assert found(heads, HEAD + b"{}") is None


def test_only_whole_requests_after_which_the_connection_goes_on_are_kept() -> None:
    heads = Heads()
    keep(heads, HEAD + b"{}", TWO, keep_alive=False)
    keep(heads, HEAD + b"{}", TWO, body=b"{")
    assert found(heads, HEAD + b"{}") is None
    keep(heads, HEAD + b"{}", TWO)
    assert found(heads, HEAD + b"[]") == b"handled []"
    assert found(heads, HEAD + b"[1]") is None
    assert found(heads, HEAD) is None


def test_heads_are_bounded_in_number_and_length() -> None:
    heads = Heads()
    keep(heads, b"x" * LONGEST + HEAD + b"{}", TWO)
    assert found(heads, b"x" * LONGEST + HEAD + b"{}") is None
    for number in range(3 * MOST):
        keep(heads, b"%d" % number + HEAD + b"{}", TWO)
    assert sum(found(heads, b"%d" % number + HEAD + b"{}") is not None for number in range(3 * MOST)) <= MOST
