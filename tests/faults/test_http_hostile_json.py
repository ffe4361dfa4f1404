"""Bodies made to hurt a JSON reader: each gets a 400 that names the place, and costs the server nothing."""

from collections.abc import Iterator

import pytest
from apps import cpu_seconds, memory
from support import Server, serving
from wire import Wire, post

DEEP = 100_000
MIB = 2**20


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("json")) as running:
        yield running


def submit(server: Server, body: bytes) -> tuple[int, str]:
    with Wire(server.url) as wire:
        reply = wire.send(post(body)).reply()
        return reply.status, reply.body.decode()


def any_data(data: bytes) -> bytes:
    return b'{"action":"anything","data":' + data + b"}"


# A body, and what its answer must name.
REFUSED = {
    "nested arrays": (any_data(b"[" * DEEP + b"]" * DEEP), "nested too deeply"),
    "nested arrays left open": (any_data(b"[" * DEEP), "nested too deeply"),
    "nested objects": (any_data(b'{"a":' * DEEP + b"1" + b"}" * DEEP), "nested too deeply"),
    "nested around the envelope": (b"[" * DEEP + b"]" * DEEP, "array"),
    "nested in an unknown field": (b'{"action":"a","x":' + b"[" * DEEP + b"]" * DEEP + b"}", "x"),
    "a long number": (any_data(b"1" * 100_000), "out of range"),
    "a long number for an action of numbers": (
        b'{"action":"sum","data":{"numbers":[' + b"1" * 100_000 + b"]}}",
        "data.numbers[0]",
    ),
    "a huge exponent": (any_data(b"1e999"), "out of range"),
    "a huge negative number": (any_data(b"-1e999"), "out of range"),
    "an absurd exponent": (any_data(b"1e" + b"9" * 1000), "data"),
    "a NUL byte": (any_data(b'"a\x00b"'), "byte"),
    "an escaped NUL": (any_data(b'"a\\u0000b"'), "U+0000 at byte"),
    "an escaped NUL behind a backslash": (any_data(b'"\\\\\\u0000"'), "U+0000 at byte"),
    "a NUL in the action": (b'{"action":"a\\u0000"}', "action"),
    "a control character in the action": (b'{"action":"a\\u001b[31m"}', "action"),
    "a lone surrogate": (any_data(b'"\\ud800"'), "data"),
    "a lone low surrogate": (any_data(b'["\\udc00 and more"]'), "byte"),
    "two high surrogates": (any_data(b'"\\ud800\\ud800"'), "byte"),
    "a lone surrogate in a key": (any_data(b'{"\\udfff":1}'), "byte"),
    "a lone surrogate in the action": (b'{"action":"\\ud800"}', "body"),
    "a surrogate in UTF-8": (any_data(b'"\xed\xa0\x80"'), "data"),
    "bad UTF-8 in the data": (any_data(b'"\xff"'), "data"),
    "bad UTF-8 in the action": (b'{"action":"\xff"}', "UTF-8"),
    "overlong UTF-8": (any_data(b'"\xc0\xaf"'), "data"),
    "UTF-16": ('{"action":"x"}'.encode("utf-16"), "body"),
    "a byte order mark": (b'\xef\xbb\xbf{"action":"x"}', "body"),
    "a key twice": (b'{"action":"sum","action":"uppercase"}', "action"),
    "a key twice, with data": (b'{"action":"sum","action":"uppercase","data":{}}', "action"),
    "a key twice that looks like data": (b'{"action":"data","action":"uppercase"}', "action"),
    "a key twice, written in two ways": (b'{"action":"sum","\\u0061ction":"uppercase"}', "action"),
    "data twice": (b'{"action":"x","data":1,"data":2}', "data"),
    "a key twice in the data": (any_data(b'{"a":1,"a":2}'), '"a"'),
    "a key twice within": (any_data(b'[0,{"b":[{"c":1,"d":2,"c":3}]}]'), '"c"'),
    "an unknown field": (b'{"action":"x","colour":"red"}', "colour"),
    "an unknown field of the data": (b'{"action":"uppercase","data":{"txet":"a"}}', "data.txet"),
    "a wrong type": (b'{"action":"uppercase","data":{"text":5}}', "data.text"),
    "a wrong type within": (b'{"action":"sum","data":{"numbers":[1,"2"]}}', "data.numbers[1]"),
    "data of a wrong type": (b'{"action":"uppercase","data":[]}', "data"),
    "data that is null": (b'{"action":"uppercase","data":null}', "data"),
    "NaN": (any_data(b"[NaN]"), "byte"),
    "Infinity": (any_data(b"[1,Infinity]"), "byte"),
    "minus Infinity": (any_data(b"-Infinity"), "byte"),
    "a comment": (b'{"action":"x" /* y */}', "byte"),
    "a trailing comma": (b'{"action":"x",}', "byte"),
    "two values": (b'{"action":"x"}{"action":"y"}', "byte"),
    "nothing": (b"", "body"),
    "blanks": (b" " * 1000, "body"),
    "no object": (b'"uppercase"', "object"),
    "no action": (b'{"data":{}}', "action"),
    "an empty action": (b'{"action":""}', "action"),
    "a long action": (b'{"action":"' + b"a" * 201 + b'"}', "action"),
    "an action that is no text": (b'{"action":["x"]}', "action"),
    "single quotes": (b"{'action':'x'}", "byte"),
    "a number that begins with zero": (any_data(b"01"), "byte"),
    "an unescaped line end": (any_data(b'"a\nb"'), "byte"),
    "an unknown escape": (any_data(b'"\\x41"'), "byte"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_F31_a_hostile_body_is_refused_naming_the_place(shared: Server, case: str) -> None:
    body, place = REFUSED[case]
    status, text = submit(shared, body)
    assert status == 400, text
    assert place in text
    assert "Traceback" not in text
    assert len(text) < 2000
    assert shared.get("/healthz").status == 200


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"a b":"[","b":'])
def test_F31_data_may_be_a_hundred_deep(shared: Server, opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    for depth in (1, 99, 100, 101, 500, *range(900, 1050, 10), 2_000, 10_000):
        status, text = submit(shared, any_data(opening * depth + b'"[{" ' + closing * depth))
        assert status == (202 if depth <= 100 else 400), (depth, text)
        if status == 202:
            assert shared.ended(text[7:43])["status"] == "completed"
        else:
            assert "nested too deeply" in text
    assert len(shared.get("/tasks?action=anything").json()["tasks"]) >= 3  # a list that any reader can read


def test_F31_a_megabyte_of_distinct_keys_is_looked_through_quickly(shared: Server) -> None:
    keys = [b'"%x":0' % n for n in range(90_000)]
    before = cpu_seconds(shared.process.pid)
    assert submit(shared, any_data(b"{" + b",".join(keys) + b"}"))[0] == 202
    status, text = submit(shared, any_data(b"{" + b",".join([*keys, keys[-1]]) + b"}"))
    assert status == 400
    assert '"15f8f"' in text
    assert cpu_seconds(shared.process.pid) - before < 3


def test_F31_memory_stays_flat(shared: Server) -> None:
    bombs = [body for body, _ in REFUSED.values() if len(body) > 50_000]
    for body in bombs * 3:
        submit(shared, body)
    before = memory(shared.process.pid)
    for body in bombs * 60:
        submit(shared, body)
    assert memory(shared.process.pid) - before < 64 * MIB  # a tenth of what was sent
