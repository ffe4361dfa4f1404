"""Errors as problem details (RFC 9457), the one form in which the server says no."""

from __future__ import annotations

import http
from collections.abc import Sequence

import msgspec

MEDIA_TYPE = b"application/problem+json"


class FieldError(msgspec.Struct):
    """One field of a request that is wrong; ``path`` is dotted, such as ``data.text``."""

    path: str
    message: str


class Problem(msgspec.Struct, omit_defaults=True):
    """A problem document."""

    type: str
    title: str
    status: int
    detail: str
    errors: Sequence[FieldError] = ()


class BadRequest(Exception):
    """The request is wrong in a way that its sender can mend. ``detail`` says how."""

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.status = status


def problem(status: int, detail: str, errors: Sequence[FieldError] = ()) -> bytes:
    """Return the body of a problem answer. ``type`` is ``about:blank``: the status says what kind it is."""
    title = http.HTTPStatus(status).phrase
    return msgspec.json.encode(Problem("about:blank", title, status, detail, errors))
