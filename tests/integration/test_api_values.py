"""What is submitted comes back exactly, whatever JSON can say; and no body at all upsets the server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import Server, serving
from wire import Wire, post

ECHO = """
@action(name="*", inline=True)
def echo(data: Any, /) -> Any:
    return {"echo": data}

@action
def isolated(value: Any = None) -> Any:
    return {"echo": value}

@action
async def loop(value: Any = None) -> Any:
    return {"echo": value}

@action(name="sum", inline=True)
def sum_(numbers: list[int | float] = []) -> int | float:
    return sum(numbers)
"""
EXACT = [
    0,
    -0.0,
    2**53 + 1,
    2**64,
    -(2**200),
    10**4000,
    0.1,
    1e308,
    5e-324,
    1.0,
    "",
    "e\u0301 is not \u00e9",
    "\U0001f469\u200d\U0001f680 and \U0010ffff",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "zero width \u200b\ufeff",
    "\ud7ff\ue000\uffff",
    'back\\slash "quote" /slash \t\r\n\x7f\x01',
    "\\u0000",
    {"": 1, " ": 2, "\u2028": [None, True, False]},
    [[], {}, [[]], ""],
]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)
REPEATED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("values")
    with serving(directory, directory=application(directory / "app", ECHO)) as running:
        yield running


@pytest.fixture(scope="module")
def wire(api: Server) -> Iterator[Wire]:
    with Wire(api.url) as connected:
        yield connected


def same(one: Any, other: Any) -> bool:
    """Compare types too: 1 is not 1.0, nor is -0.0 0.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@pytest.mark.parametrize("action", ["anything", "isolated", "loop"])
@pytest.mark.parametrize("value", EXACT, ids=lambda value: ascii(value)[:30])
def test_a_value_survives_the_whole_way(api: Server, action: str, value: Any) -> None:
    data = value if action == "anything" else {"value": value}
    task = api.ended(api.submit(action, data))
    assert task["status"] == "completed", task["error"]
    assert same(task["data"], data)
    assert same(task["result"], {"echo": value})
    (listed,) = api.get(f"/tasks?action={action}&limit=1").json()["tasks"]
    assert same(listed["result"], {"echo": value})


@pytest.mark.parametrize(
    ("numbers", "total"),
    [
        ([1, 2, 3], 6),
        ([1, 2.5], 3.5),
        ([0.1, 0.2], 0.1 + 0.2),
        ([2**64, 1], 2**64 + 1),
        ([123456789012345678901234567890, 1], 123456789012345678901234567891),
        ([-(2**63), -(2**63)], -(2**64)),
        ([1.0, 2.0], 3.0),
        ([], 0),
    ],
)
def test_sums_are_exact(api: Server, numbers: list[float], total: float) -> None:
    task = api.ended(api.submit("sum", {"numbers": numbers}))
    assert same(task["result"], {"output": total})


def test_a_sum_beyond_floats_fails_clearly(api: Server) -> None:
    task = api.ended(api.submit("sum", {"numbers": [1.7e308, 1.7e308]}))
    assert task["status"] == "failed"
    assert "infinity" in task["error"]["message"]


def test_data_is_kept_as_it_was_written(api: Server) -> None:
    written = b'{ "a" : 1.50,"b":[ 1E5 ,0.10 ],  "c":"\\u00e9\\/" }'
    answer = api.request("POST", "/tasks", b'{"action":"x","data":' + written + b"}")
    assert b'"data":' + written + b"," in api.get(f"/tasks/{answer.json()['id']}").body


@REPEATED
@given(VALUES, st.booleans())
@example("\\u0000", False)
@example("\\\\u0000", False)
def test_any_value_round_trips(api: Server, value: Any, escaped: bool) -> None:
    body = json.dumps({"data": value, "action": "any thing"}, ensure_ascii=escaped).encode()
    answer = api.request("POST", "/tasks", body)
    assert answer.status == 202, answer.body
    task = api.ended(answer.json()["id"])
    assert same(task["data"], value)
    assert same(task["result"], {"echo": value})


@REPEATED
@given(TEXT.filter(lambda text: 0 < len(text) <= 200 and text.isprintable()))
def test_any_printable_name_round_trips(api: Server, name: str) -> None:
    if name in ("isolated", "loop", "sum"):
        return
    task = api.ended(api.submit(name, {}))
    assert task["action"] == name
    assert task["status"] == "completed"


@settings(REPEATED, max_examples=300)
@given(
    st.binary(max_size=200)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.tuples(TEXT, VALUES).map(lambda pair: json.dumps({"action": pair[0], "data": pair[1]}).encode())
    | st.tuples(
        st.just(b'{"action":"sum","data":{"numbers":[1,2.5,"x"],"more":{"\\ud83d\\ude00":null}}}'),
        st.integers(0, 80),
        st.binary(max_size=3),
    ).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :])
)
def test_any_body_is_accepted_or_refused(wire: Wire, body: bytes) -> None:
    reply = wire.send(post(body)).reply()
    assert reply.status in (202, 400), reply.body
    assert reply.headers.get("connection") is None
    if reply.status == 400:
        problem = reply.json()
        assert problem["status"] == 400
        assert problem["detail"]


def test_nothing_of_all_that_was_an_error_of_the_server(api: Server) -> None:
    assert not [line for line in api.log if "ERROR" in line or "Traceback" in line]
