"""Actions through the API: each of the three ways of running one, well behaved and not."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from apps import application, descendants
from support import Server, eventually, serving

KINDS = ("inline", "loop", "isolated")
# One body, three times: only where it runs differs.
BEHAVE = """
class Unshowable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def misbehave(how: str) -> Any:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    results = {
        "nan": float("nan"), "infinity": {"deep": [1, {"er": float("-inf")}]}, "bytes": b"abc",
        "bytes within": {"list": [bytearray(b"abc")]}, "cyclic": cyclic, "object": object(), "long": "x" * 50_000_000,
        "lone surrogate": "\\ud800", "odd keys": {(1, 2): 3}, "none": None, "mapping": {"a": None, "b": [1.5]},
        "false": False, "nulls and floats": [None, 1.5, 2**100], "nested": nested(500),
    }
    if how in results:
        return results[how]
    raise {
        "raise": ValueError("no\\x1b[31m good\\r\\nline"), "exit": SystemExit(3), "interrupt": KeyboardInterrupt(),
        "cancel": asyncio.CancelledError(), "unshowable": Unshowable(), "surrogate error": ValueError("\\udcff"),
        "long error": ValueError("y" * 1_000_000), "recursion": RecursionError("deep"),
    }[how]

def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value

@action(inline=True, max_attempts=1)
def inline(how: str) -> Any:
    return misbehave(how)

@action(max_attempts=1)
async def loop(how: str) -> Any:
    await asyncio.sleep(0)
    return misbehave(how)

@action(max_attempts=1)
def isolated(how: str) -> Any:
    return misbehave(how)

@action(backoff=0)
def end(how: str) -> str:
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        import ctypes
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"

@action
def burn(seconds: float) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return "burnt"

@action(inline=True, max_attempts=1)
def block(seconds: float, fail: bool = False) -> str:
    time.sleep(seconds)
    if fail:
        raise ValueError("after all")
    return "blocked"

@action
def quick(number: int) -> int:
    return number
"""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("actions")
    with serving(directory, directory=application(directory / "app", BEHAVE)) as running:
        yield running


def run(api: Server, action: str, how: str) -> dict[str, Any]:
    return api.ended(api.submit(action, {"how": how}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("how", "type_", "words"),
    [
        ("nan", "ResultError", "NaN"),
        ("infinity", "ResultError", "infinity"),
        ("bytes", "ResultError", "bytes"),
        ("bytes within", "ResultError", "bytes"),
        ("cyclic", "ResultError", "recursion"),
        ("object", "ResultError", "object"),
        ("long", "ResultError", "50000013 bytes; a result may have 8388608"),
        ("lone surrogate", "ResultError", "surrogates not allowed"),
        ("odd keys", "ResultError", "keys"),
        ("raise", "ValueError", "no\x1b[31m good\r\nline"),
        ("exit", "SystemExit", "3"),
        ("interrupt", "KeyboardInterrupt", ""),
        ("cancel", "CancelledError", ""),
        ("unshowable", "Unshowable", "cannot be shown"),
        ("surrogate error", "ValueError", ""),
        ("long error", "ValueError", "yyy"),
        ("recursion", "RecursionError", "deep"),
    ],
)
def test_F20_an_action_that_goes_wrong_fails_clearly(
    api: Server, kind: str, how: str, type_: str, words: str
) -> None:
    task = run(api, kind, how)
    assert task["status"] == "failed"
    assert task["result"] is None
    assert task["attempt"] == 1
    assert task["error"]["type"] == type_
    assert words in task["error"]["message"]
    assert len(task["error"]["message"]) <= 10_000
    assert set(task["error"]) == {"type", "message", "at"}  # no traceback leaves
    assert run(api, kind, "none")["status"] == "completed"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("how", "result"),
    [
        ("none", {"output": None}),
        ("false", {"output": False}),
        ("mapping", {"a": None, "b": [1.5]}),
        ("nulls and floats", {"output": [None, 1.5, 2**100]}),
    ],
)
def test_what_an_action_returns_is_the_result(api: Server, kind: str, how: str, result: object) -> None:
    task = run(api, kind, how)
    assert task["result"] == result
    assert task["error"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_may_be_nested(api: Server, kind: str) -> None:
    assert run(api, kind, "nested")["status"] == "completed"


@pytest.mark.parametrize(
    ("how", "words"), [("exit", "exit code 7"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")]
)
def test_F18_an_action_that_ends_its_process_fails_after_its_attempts(
    api: Server, how: str, words: str
) -> None:
    neighbours = [api.submit("quick", {"number": number}) for number in range(10)]
    id_ = api.submit("end", {"how": how})
    neighbours += [api.submit("quick", {"number": number}) for number in range(10, 20)]
    task = api.ended(id_)
    assert task["status"] == "failed"
    assert task["attempt"] == task["max_attempts"] == 3
    assert task["error"]["type"] == "worker_crashed"
    assert words in task["error"]["message"]
    for number, neighbour in enumerate(neighbours):
        other = api.ended(neighbour)
        assert (other["result"], other["attempt"]) == ({"output": number}, 1)
    eventually(lambda: len(descendants(api.process.pid)) == 2)
    assert run(api, "isolated", "none")["status"] == "completed"


def test_the_api_stays_quick_while_workers_burn(api: Server) -> None:
    ids = [api.submit("burn", {"seconds": 1.0}) for _ in range(2)]
    eventually(lambda: all(api.get(f"/tasks/{id_}").json()["status"] == "running" for id_ in ids))
    slowest = 0.0
    for _ in range(20):
        began = time.monotonic()
        api.submit("quick", {"number": 1})
        assert api.get("/tasks").status == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 0.5
    assert [api.ended(id_)["result"] for id_ in ids] == [{"output": "burnt"}] * 2


@pytest.mark.parametrize("fail", [False, True])
def test_F23_an_inline_action_that_blocks_is_named_and_harms_no_task(api: Server, fail: bool) -> None:
    others = [api.submit("isolated", {"how": "none"}), api.submit("loop", {"how": "none"})]
    lines = len(api.log)
    id_ = api.submit("block", {"seconds": 1.0, "fail": fail})
    task = api.ended(id_)
    others += [api.submit("isolated", {"how": "none"}), api.submit("loop", {"how": "none"})]
    assert task["status"] == ("failed" if fail else "completed")
    assert [(api.ended(other)["status"], api.ended(other)["attempt"]) for other in others] == [
        ("completed", 1)
    ] * 4
    (warning,) = eventually(lambda: [line for line in api.log[lines:] if "action block is inline" in line])
    assert "WARNING" in warning
    assert "action block is inline and kept the loop from everything else" in warning


def test_an_unknown_action_is_refused_with_the_known_ones_and_the_nearest(api: Server) -> None:
    answer = api.request("POST", "/tasks", {"action": "quik"})
    assert answer.status == 400
    problem = answer.json()
    assert (
        problem["detail"] == "No such action. Known actions: block, burn, end, inline, isolated, loop, quick."
    )
    assert problem["errors"] == [{"path": "action", "message": "unknown action; did you mean `quick`?"}]
    far = api.request("POST", "/tasks", {"action": "\u202e\u0434\u0430"}).json()
    assert "known are: block, burn" in far["errors"][0]["message"]


def test_no_line_of_the_log_holds_a_control_character(api: Server) -> None:
    for kind in KINDS:
        run(api, kind, "raise")
    api.request("POST", "/tasks", {"action": "a\x1b[31m\r\nb"})
    api.request("GET", "/no%1b%5b31m%0d%0awhere")
    assert all(line.isprintable() for line in api.log)
