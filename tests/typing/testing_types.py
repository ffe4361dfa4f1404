"""Read by mypy, never run: what the fixtures of a test know."""

from typing import assert_type, reveal_type

from taskmill import action
from taskmill.client import Handle, Task
from taskmill.testing import Application, AssertSubmitted, Clock, Tasks, running


@action
def uppercase(text: str = "") -> str:
    return text.upper()


def test_it(tasks: Tasks, clock: Clock, assert_submitted: AssertSubmitted, taskmill_app: Application) -> None:
    assert_type(tasks.submit(uppercase.submission("hi")), Handle[str])
    assert_type(uppercase.submit(text="hi").result(), str)
    assert_type(tasks.run_next(), Task | None)
    assert_type(tasks.run_all(), list[Task])
    assert_type(assert_submitted(uppercase, {"text": "hi"}, priority=3), Task)
    assert_type(taskmill_app.url, str)
    clock.advance("1h")


reveal_type(running())  # contextlib._GeneratorContextManager[taskmill.testing.tasks.Tasks, None, None]
with running(actions=[uppercase]) as tasks:
    assert_type(tasks, Tasks)
uppercase.submit(text=5)  # error: arg-type
tasks.run_all(limit="x")  # error: arg-type
tasks.clock.advance(None)  # error: arg-type
