"""Logs: one line a record, safe to print whatever a client put into it."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum

import msgspec


class LogFormat(StrEnum):
    """How a line is written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def escape(text: str) -> str:
    """Write control characters and other unprintable ones out, so that no terminal acts on them; keep line ends."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


class TextFormatter(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; further lines are indented, so that none passes for a record of its own."""
        return escape(super().format(record)).replace("\n", "\n    ")


class JsonFormatter(logging.Formatter):
    """For programs."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one JSON object."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = escape(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _worth_saying(record: logging.LogRecord) -> bool:
    """Leave out what an error has led to that is `said` by itself: a server that is gone stops a dozen things."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    errors = (*arguments, record.exc_info[1] if record.exc_info else None)
    return not any(getattr(error, "said", False) for error in errors if isinstance(error, Exception))


def configure(log_format: LogFormat, level: LogLevel) -> None:
    """Send every log record to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    handler.addFilter(_worth_saying)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn reports each malformed request as a warning: that is the client's fault, and answered with 400.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
