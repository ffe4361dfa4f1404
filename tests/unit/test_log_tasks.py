"""Fields of log records: JSON of any value, colours at a terminal alone, and the task of an action."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread, get_ident

import pytest

from taskmill import logs
from taskmill.logs import JsonFormatter, LogFormat, LogLevel, TextFormatter
from taskmill.tasks.actions.context import CurrentTask, Inline, Together, running
from taskmill.tasks.actions.named import TaskFilter


def record(message: str = "it is done", **extra: object) -> logging.LogRecord:
    made = logging.getLogger("shop").makeRecord(
        "shop", logging.INFO, "file", 1, message, (), None, extra=extra
    )
    TaskFilter().filter(made)
    return made


def task(id_: str, attempt: int = 2) -> CurrentTask:
    return CurrentTask(id_, attempt, "{}", lambda: False, action="mail")


@pytest.fixture
def under_way() -> Iterator[None]:
    token = running.set(task("0199-1"))
    yield
    running.reset(token)


def line(**extra: object) -> dict[str, object]:
    text = JsonFormatter().format(record(**extra))
    assert text.isprintable()
    found: dict[str, object] = json.loads(text)
    return found


@pytest.mark.usefixtures("under_way")
def test_a_record_of_an_action_names_its_task() -> None:
    found = line(customer=42)
    assert found.pop("time")
    assert found == {
        "level": "info", "logger": "shop", "message": "it is done", "customer": 42,
        "task": "0199-1", "action": "mail", "attempt": 2,
    }  # fmt: skip
    assert TextFormatter().format(record()).endswith("it is done task=0199-1 action=mail attempt=2")


def test_a_record_of_none_does_not() -> None:
    assert set(line()) == {"time", "level", "logger", "message"}
    assert TextFormatter().format(record()).endswith(" INFO    it is done")
    assert logging.Formatter("%(message)s [%(task)s]").format(record()) == "it is done []"


@pytest.mark.usefixtures("under_way")
def test_a_field_of_ones_own_is_kept() -> None:
    assert line(task="laundry")["task"] == "laundry"


def test_a_batch_names_the_first_of_its_tasks() -> None:
    token = running.set(Together([task(str(number)) for number in range(30)]))
    try:
        found = line()
    finally:
        running.reset(token)
    assert found["tasks"] == [str(number) for number in range(20)]
    assert found["action"] == "mail"
    assert "task" not in found


def test_what_runs_inline_is_not_named_by_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[dict[str, object]] = []
    monkeypatch.setattr(Inline, "thread", get_ident())
    monkeypatch.setattr(Inline, "task", Together([task("1")]))
    thread = Thread(target=lambda: found.append(line()))
    thread.start()
    thread.join(10)
    assert "tasks" not in found[0]
    assert line()["tasks"] == ["1"]


@pytest.mark.parametrize(
    "value",
    ["\ud800", {"deep": ["\x1b[31m\u202e", 1.5]}, {1: 2}, {(1, 2): 3}, object(), Path("/tmp"), b"\xff", 1j],
)
def test_json_takes_any_value(value: object) -> None:
    assert "odd" in line(odd=value)


def test_json_keeps_what_it_escapes_in_nested_values() -> None:
    assert line(odd={"deep": "\x9b\u202e\U000e0001"})["odd"] == {"deep": "\x9b\u202e\U000e0001"}


def test_a_cycle_is_written_as_far_as_it_can_be() -> None:
    around: list[object] = []
    around.append(around)
    assert line(odd=around)["odd"] == "[[...]]"


def test_a_field_cannot_pass_for_another_one_or_hide_in_lines() -> None:
    text = TextFormatter().format(record(note="a\nERROR b\x1b[0m"))
    assert text.split("\n")[1] == r"    ERROR b\x1b[0m"
    assert line(level="error", time="never")["level"] == "info"


def test_a_trace_of_an_error_is_a_field() -> None:
    try:
        json.loads("{")
    except ValueError:
        made = record()
        made.exc_info = sys.exc_info()
    found = json.loads(JsonFormatter().format(made))
    assert found["exception"].startswith("Traceback ")
    assert "JSONDecodeError" in TextFormatter().format(made)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def log_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    monkeypatch.setattr(logs._Ours, "settings", None)
    monkeypatch.setattr(logs._Ours, "handler", None)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    root.handlers = []
    yield
    root.handlers, root.level = before, level


def written(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, log_format: LogFormat) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(log_format, LogLevel.INFO)
    logging.getLogger("shop").warning("look")
    return stream.getvalue()


@pytest.mark.usefixtures("log_settings")
@pytest.mark.parametrize("name", ["", "NO_COLOR"])
def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name:
        monkeypatch.setenv(name, "1")
    text = written(monkeypatch, Screen(), LogFormat.TEXT)
    assert ("\x1b[33mWARNING\x1b[0m" in text) is (not name)
    assert text.endswith("look\n")


@pytest.mark.usefixtures("log_settings")
def test_no_terminal_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in written(monkeypatch, io.StringIO(), LogFormat.TEXT)


@pytest.mark.usefixtures("log_settings")
@pytest.mark.parametrize(("screen", "first"), [(Screen(), "\x1b"), (io.StringIO(), "{")])
def test_auto_is_for_who_reads(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, first: str) -> None:
    assert written(monkeypatch, screen, LogFormat.AUTO).startswith(first)
