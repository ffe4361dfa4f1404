"""Read by mypy, never run: what a client returns, and what an action's own `submit` takes and returns."""

from typing import Any, assert_type, reveal_type

from taskmill import action
from taskmill.client import (
    AsyncClient,
    AsyncHandle,
    Client,
    Handle,
    LogEvent,
    ProgressEvent,
    ResetEvent,
    StatusEvent,
    Submission,
    Task,
)


@action
def uppercase(text: str = "") -> str:
    return text.upper()


@action
async def fetch(url: str, *, delay: int = 3) -> dict[str, Any]:
    return {url: delay}


reveal_type(uppercase.submit(text="hi"))  # taskmill.client.handle.Handle[str]
reveal_type(fetch.submit("u", delay=1))  # taskmill.client.handle.Handle[dict[str, Any]]
reveal_type(uppercase.submission())  # taskmill.client.submission.Submission[str]
reveal_type(Submission("a", {"n": 1}))  # taskmill.client.submission.Submission[Any]
reveal_type(Submission("a", result_type=int))  # taskmill.client.submission.Submission[int]
reveal_type(fetch.submission("u"))  # taskmill.client.submission.Submission[dict[str, Any]]
later = uppercase.with_options(delay="10s", priority=5, tags=["x"])
reveal_type(later)  # taskmill.tasks.actions.submitting.WithOptions[[text: str =], str]
assert_type(later.submit("hi"), Handle[str])
assert_type(uppercase.submit("hi").result(timeout=3), str)
assert_type(fetch.with_options(delay=1).submit("u", delay=2).result(), dict[str, Any])

client = Client("http://127.0.0.1:8080", retry_for=5)
assert_type(client.submit(uppercase.submission("hi")), Handle[str])
assert_type(client.submit("uppercase", {"text": "hi"}, delay=3), Handle[Any])
assert_type(uppercase.with_options(callback="https://a.example/").submit("hi"), Handle[str])
assert_type(
    client.submit("x", callback={"url": "https://a.example/", "events": ["task.failed"]}), Handle[Any]
)
assert_type(client.submit_many([uppercase.submission(text) for text in "ab"]), list[Handle[str]])
assert_type(client.submit_many([Submission("sum", {"numbers": [1]}, result_type=int)]), list[Handle[int]])
assert_type(next(client.list(status="failed", limit=3)), Task)
for event in client.stream(action="mail"):
    assert_type(event, StatusEvent | ProgressEvent | LogEvent | ResetEvent)
    match event:
        case ProgressEvent():
            assert_type(event.total, float | None)


async def use(other: AsyncClient) -> None:
    assert_type(await uppercase.submit_async("hi"), AsyncHandle[str])
    assert_type(await (await fetch.submit_async("u")).result(), dict[str, Any])
    assert_type(await (await later.submit_async(text="hi")).result(), str)
    assert_type(await other.submit(fetch.submission("u")), AsyncHandle[dict[str, Any]])
    assert_type([task async for task in other.list()], list[Task])


uppercase.submit(text=5)  # error: arg-type
uppercase.submit(txt="hi")  # error: call-arg
fetch.submit()  # error: call-overload
later.submit(5)  # error: arg-type
uppercase.with_options(dely=5)  # error: call-arg
uppercase.with_options(priority="high")  # error: arg-type
uppercase.with_options(callback=5)  # error: arg-type
client.submit("uppercase", {}, prio=3)  # error: call-overload
client.list(stats="failed")  # error: call-arg
client.stream(stats="failed")  # error: call-arg
Client(urls="x")  # error: call-arg
