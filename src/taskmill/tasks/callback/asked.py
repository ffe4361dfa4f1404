"""Where the end of a task is to be told, as a submission, an action or a queue says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec

LONGEST: Final = 2_000  # characters of a URL
NEEDED: Final = "declare an entry of the kind `task.webhooks`, which says by what secret callbacks are signed"

Event = Literal["task.completed", "task.failed", "task.cancelled"]
Url = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LONGEST,
        description="An `http://` or `https://` URL, without a user's name.",
        extra_json_schema={"format": "uri"},
    ),
]


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A URL, and of which ends it is told: of each, where it names none."""

    url: Url
    events: (
        Annotated[list[Event], msgspec.Meta(min_length=1, description="Of which ends it is told.")] | None
    ) = None


def read(declared: object) -> Callback:
    """Read a URL, or a mapping of one with its events; raise ValueError with what is wrong."""
    if isinstance(declared, Callback):
        found = declared
    elif isinstance(declared, str):
        found = Callback(declared)
    elif isinstance(declared, Mapping):
        found = msgspec.convert(dict(declared), Callback)
    else:
        raise ValueError("`callback` is a URL, or a mapping with `url` and `events`")  # noqa: TRY004 - as for other values
    if wrong := flaw(found.url):
        raise ValueError(f"`callback`: {wrong}")
    return found


def flaw(url: str) -> str:
    """Say why a URL is none that can be told; the empty text where it may be one."""
    if len(url) > LONGEST:
        return f"longer than {LONGEST:,} characters"
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return (
            "a URL has no blanks, control characters or letters beyond ASCII: write those as `%20`, `%C3%A9`"
        )
    try:
        parts = urlsplit(url)
        named = parts.hostname and parts.port != 0
    except ValueError as error:
        return f"no URL: {error}"
    for wrong, why in (
        (parts.scheme not in ("http", "https"), "a URL begins with https:// or http://"),
        (not named, "a URL names a host, and no port 0"),
        ("@" in parts.netloc, "leave the user's name and password out: what is sent is signed"),
    ):
        if wrong:
            return why
    return ""


def of(asked: str | Callback | None) -> Callback | None:
    """Return what a submission asks for in one form."""
    return Callback(asked) if isinstance(asked, str) else asked
