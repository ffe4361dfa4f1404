"""Answers to ``POST /tasks``."""

from __future__ import annotations

from typing import Any

import msgspec

from taskmill.http import BadRequest, Exchange, FieldError
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake import once

RETRY_AFTER = b"retry-after: 1\r\n"


def accept(exchange: Exchange, submitted: once.Submitted) -> None:
    """Answer that a submission is stored."""
    id_ = to_text(submitted.id)
    body: dict[str, Any] = {"id": id_, "status": submitted.status.word}
    if submitted.duplicate:
        body["duplicate"] = True
    headers = f"location: /tasks/{id_}\r\n" + ("idempotency-replayed: true\r\n" if submitted.replayed else "")
    exchange.reply(202, msgspec.json.encode(body), headers=headers.encode())


def not_stored(exchange: Exchange, error: Exception) -> None:
    """Answer that a submission is not stored, and why."""
    exchange.refuse(503, f"The task was not stored: {error}.", headers=RETRY_AFTER)


def idempotency_text(header: str) -> str:
    """Read an idempotency key from its header; raise BadRequest where it is none."""
    text = header.strip()
    if not 0 < len(text) <= 255 or not text.isascii() or not text.isprintable():
        raise BadRequest(
            "Send an `Idempotency-Key` of 1 to 255 visible ASCII characters, such as a UUID.",
            [FieldError("Idempotency-Key", "not a key")],
        )
    return text
