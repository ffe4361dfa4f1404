"""Log lines: nothing that a client sets acts on a terminal, or passes for a line of its own."""

import json
import logging
import sys

import pytest

from taskmill.logs import JsonFormatter, TextFormatter

NASTY = "a\x1b[31mred\r\nERROR faked\x00\x9b1m\u202ereversed\u2028line\ud800"


def fail() -> None:
    raise ValueError(NASTY)


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("taskmill", logging.WARNING, "file", 1, message, arguments, None)


def test_text_lines_are_printable_and_further_ones_indented() -> None:
    line = TextFormatter().format(record("action %s failed", NASTY))
    first, second = line.split("\n")
    assert first.isprintable()
    assert r"a\x1b[31mred\r" in first
    assert second.startswith("    ERROR faked\\x00\\x9b1m\\u202ereversed\\u2028line\\ud800")


def test_json_lines_are_one_line_each_and_printable() -> None:
    line = JsonFormatter().format(record("action %s failed", NASTY))
    assert line.isprintable()
    assert r"\x1b[31mred" in json.loads(line)["message"]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_so_are_tracebacks(formatter: logging.Formatter) -> None:
    try:
        fail()
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    assert all(line.isprintable() for line in formatter.format(failed).split("\n"))
