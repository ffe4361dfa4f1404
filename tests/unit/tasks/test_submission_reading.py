"""Reading a submission: the shapes whose refusal depends on how a body is written."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill.http import BadRequest
from taskmill.process.messages import FunctionRef
from taskmill.tasks.actions.action import ANY, Action
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.intake.submission import read_submission


def anything(data: object, /) -> object:
    return data


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    made = Catalog()
    made._actions[ANY] = Registered(Action(anything, name=ANY), FunctionRef("", "", ""))
    return made


FIELDS = [
    b'"action":"x"',
    b'"action" : "data"',
    b'"\\u0061ction":"y:z"',
    b'"data":1',
    b'"d\\u0061ta":{"a":2}',
    b'"data": ":"',
]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_envelope_has_each_field_once(catalog: Catalog, count: int) -> None:
    for fields in itertools.permutations(FIELDS, count):
        body = b"{" + b" , ".join(fields) + b"}"
        names = [next(iter(json.loads(b"{" + field + b"}"))) for field in fields]
        if names.count("action") == 1 and names.count("data") <= 1:
            read_submission(body, catalog)
        else:
            with pytest.raises(BadRequest):
                read_submission(body, catalog)


KEYS = st.sampled_from(["a", "b", "c", "action", "data", ":", '"'])


@settings(deadline=None)
@given(
    st.recursive(
        st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4).map(tuple),
    )
)
def test_a_key_twice_is_found_wherever_it_is(catalog: Catalog, value: object) -> None:
    """A tuple stands for an object, of pairs."""

    def write(part: object) -> str:
        if isinstance(part, tuple):
            return "{" + ",".join(f"{json.dumps(key)}:{write(inner)}" for key, inner in part) + "}"
        return "[" + ",".join(map(write, part)) + "]" if isinstance(part, list) else str(part)

    def twice(part: object) -> bool:
        if isinstance(part, tuple):
            keys = [key for key, _ in part]
            return len(set(keys)) < len(keys) or any(twice(inner) for _, inner in part)
        return isinstance(part, list) and any(map(twice, part))

    body = b'{"action":"x","data":%b}' % write(value).encode()
    if twice(value):
        with pytest.raises(BadRequest, match="Give each key once"):
            read_submission(body, catalog)
    else:
        submission = read_submission(body, catalog)[0]
        assert bytes(submission.data) == write(value).encode()


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (rb"\u0000", False),
        (rb"\\u0000", True),
        (rb"\\\u0000", False),
        (rb"\\\\u0000", True),
        (rb"\n\u0000", False),
        (rb"\u0001", True),
        (rb"u0000", True),
    ],
)
def test_u0000_is_refused_and_its_name_is_not(catalog: Catalog, text: bytes, fine: bool) -> None:
    body = b'{"action":"x","data":"' + text + b'"}'
    if fine:
        read_submission(body, catalog)
    else:
        with pytest.raises(BadRequest) as caught:
            read_submission(body, catalog)
        assert caught.value.errors[0].message == f"U+0000 at byte {body.rindex(b'u0000') - 1} of the body"
