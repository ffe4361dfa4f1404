"""Logs: one line a record, safe to print whatever a client put into it.

They are those of the standard library, so that an application's own handlers and levels go on to work.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"
    AUTO = "auto"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# What every record has; anything else was given with it. uvicorn writes its messages a second time, with colours.
_OWN: Final = {
    *vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName", "color_message"
}  # fmt: skip
_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"
_COLOURS: Final = {"DEBUG": "\x1b[36m", "INFO": "\x1b[32m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m"}
_WORST: Final = "\x1b[1;31m"


def escape(text: str) -> str:
    """Write control characters and other unprintable ones out, so that no terminal acts on them; keep line ends."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def given(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Give what a record has beside its message: by ``extra``, and of the task that it is about."""
    for name, value in vars(record).items():
        empty = value is None or (isinstance(value, str) and not value)
        if name not in _OWN and not empty and not name.startswith("_"):
            yield name, value


class TextFormatter(logging.Formatter):
    """For people; ``coloured`` at a terminal."""

    def __init__(self, *, coloured: bool = False) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; further lines are indented, so that none passes for a record of its own."""
        message = record.getMessage()
        # What the message says already is not said twice.
        more = [f"{name}={value}" for name, value in given(record) if str(value) not in message]
        level = record.levelname
        parts = [
            self._in(_DIM, self.formatTime(record, "%H:%M:%S")),
            self._in(_COLOURS.get(level, _WORST), f"{level:<7}"),
            _indented(message),
            *([self._in(_DIM, _indented(" ".join(more)))] if more else []),
        ]
        return " ".join(parts) + "".join(f"\n    {_indented(text)}" for text in self._below(record))

    def _below(self, record: logging.LogRecord) -> Iterator[str]:
        if record.exc_info:
            yield self.formatException(record.exc_info)
        if record.stack_info:
            yield self.formatStack(record.stack_info)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._coloured else text


class JsonFormatter(logging.Formatter):
    """For programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one JSON object."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape(record.getMessage()),
        }
        for name, value in given(record):
            line.setdefault(name, escape(value) if isinstance(value, str) else value)
        if record.exc_info:
            line["exception"] = escape(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = escape(self.formatStack(record.stack_info))
        return _printable(line)


def _indented(text: str) -> str:
    return escape(text).replace("\n", "\n    ")


def _printable(line: dict[str, Any]) -> str:
    """Write an object as JSON that holds printable characters only, whatever is in it."""
    try:
        text = msgspec.json.encode(line, enc_hook=str).decode()
    except (ValueError, TypeError, RecursionError):  # a lone surrogate, a key that is no text, a cycle
        safe = {escape(name): escape(v if isinstance(v, str) else repr(v)) for name, v in line.items()}
        text = msgspec.json.encode(safe).decode()
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _json_escape(char) for char in text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _worth_saying(record: logging.LogRecord) -> bool:
    """Leave out what an error has led to that is `said` by itself: a server that is gone stops a dozen things."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    errors = (*arguments, record.exc_info[1] if record.exc_info else None)
    return not any(getattr(error, "said", False) for error in errors if isinstance(error, Exception))


class _Ours:
    handler: logging.Handler | None = None  # once logs are configured
    settings: tuple[LogFormat, LogLevel] | None = None


def settings() -> tuple[LogFormat, LogLevel] | None:
    """Return how logs were configured, for other processes; None where they were not."""
    return _Ours.settings


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send every log record to standard error; a second time with the same settings, this changes nothing."""
    terminal = sys.stderr.isatty()
    if log_format is LogFormat.AUTO:
        log_format = LogFormat.TEXT if terminal else LogFormat.JSON
    if _Ours.settings == (log_format, level):
        return
    handler = logging.StreamHandler(sys.stderr)
    coloured = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    text = TextFormatter(coloured=coloured)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else text)
    handler.addFilter(_worth_saying)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn reports each malformed request as a warning: that is the client's fault, and answered with 400.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    _Ours.handler, _Ours.settings = handler, (log_format, level)


def add_filter(adding: logging.Filter) -> None:
    """Have a filter see every record that goes to standard error, if that was configured."""
    if _Ours.handler is not None:
        _Ours.handler.addFilter(adding)
