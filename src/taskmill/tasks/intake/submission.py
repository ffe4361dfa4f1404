"""What a client submits, decoded strictly. Nothing is decoded twice, and nothing odd gets through."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from itertools import accumulate
from typing import Annotated, Any, Literal

import msgspec

from taskmill.http import BadRequest, FieldError, means
from taskmill.registry import nearest
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.callback.asked import Callback, Url

# Of data: most readers of JSON have a limit, and one task must not break a whole list for them.
DEPTH_LIMIT = 100

_NO_DATA = msgspec.Raw(b"{}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # not where the backslash is escaped itself
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=10 * 366 * 86_400)]


class PlainSubmission(msgspec.Struct, forbid_unknown_fields=True):
    """What most bodies of ``POST /tasks`` are."""

    action: Annotated[Name, means("Which action to run.")]
    data: Annotated[msgspec.Raw, means("Its arguments.")] = msgspec.field(default_factory=lambda: _NO_DATA)


class Submission(PlainSubmission, kw_only=True, forbid_unknown_fields=True):
    """The body of ``POST /tasks``, with all that may be in it. Times are in seconds."""

    queue: Annotated[Name, means("Another queue than the action's own.")] | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9), means("Higher goes first.")] | None = None
    delay: (
        Annotated[float, msgspec.Meta(ge=0, le=10 * 366 * 86_400), means("Run it so much later.")] | None
    ) = None
    run_at: Annotated[datetime, msgspec.Meta(tz=True), means("Run it then; not beside `delay`.")] | None = (
        None
    )
    key: Annotated[Key, means("Tasks of an action that wait and have one key are one task.")] | None = None
    fair_key: Annotated[Key, means("Tasks of different keys take turns.")] | None = None
    tags: Annotated[list[Name], msgspec.Meta(max_length=50), means("To find it by.")] = []
    max_attempts: (
        Annotated[int, msgspec.Meta(ge=1, le=1_000), means("How often it may be started.")] | None
    ) = None
    timeout: Annotated[Seconds, means("How long an attempt may take.")] | None = None
    expires_in: Annotated[Seconds, means("It fails with `expired` if it has not begun by then.")] | None = (
        None
    )
    hold: (
        Annotated[
            Seconds, means("Store it, and let it run once it is released; it is cancelled after so long.")
        ]
        | Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,5}(s|m|h)$"), means("Such as `60s`.")]
        | None
    ) = None
    idempotency_key: (
        Annotated[
            str,
            msgspec.Meta(pattern=r"^[!-~]([ -~]{0,253}[!-~])?$"),
            means("As the header `Idempotency-Key`, where there is none: for bodies that are one of many."),
        ]
        | None
    ) = None
    start_by: Annotated[Seconds, means("Refused with 503 if it is not likely to begin by then.")] | None = (
        None
    )
    after: Annotated[
        list[Annotated[str, means("The id of a task.", format="uuid")]],
        msgspec.Meta(max_length=1_000),
        means("Run it once all these have completed; not beside `delay`, `run_at`, `start_by` or `hold`."),
    ] = []
    name: (
        Annotated[
            str, msgspec.Meta(min_length=1, max_length=200), means("What it is called, such as in its batch.")
        ]
        | None
    ) = None
    on_failure: Annotated[
        Literal["fail", "run"] | None,
        means(
            "Where one of `after` fails or is cancelled: `fail` with it, the default, or `run` all the same."
        ),
    ] = None
    callback: Annotated[Url | Callback | None, means("A URL that is told how it has ended.")] = None


def full(submission: PlainSubmission) -> Submission:
    """Return a submission with all that may be in it."""
    if isinstance(submission, Submission):
        return submission
    return Submission(action=submission.action, data=submission.data)


def is_json(media_type: bytes) -> bool:
    """Whether a body of a type is to be read as JSON."""
    name = media_type.partition(b";")[0].strip().lower()
    return name == b"application/json" or (name.startswith(b"application/") and name.endswith(b"+json"))


_decode_plain = msgspec.json.Decoder(PlainSubmission).decode
_decode_full = msgspec.json.Decoder(Submission).decode


def _decode(body: bytes) -> PlainSubmission:
    """Decode a body; the small struct first, since that is what nearly all are."""
    try:
        return _decode_plain(body)
    except msgspec.ValidationError:
        submission = _decode_full(body)
        if wrong := _contradiction(submission):
            raise wrong from None
        return submission


def _contradiction(submission: Submission) -> BadRequest | None:
    """Return what is wrong with options that cannot stand beside each other."""
    if submission.delay is not None and submission.run_at is not None:
        return BadRequest("Give `delay` or `run_at`.", [FieldError("run_at", "cannot stand beside `delay`")])
    if submission.after:
        for name in ("delay", "run_at", "start_by", "hold"):
            if getattr(submission, name) is not None:
                why = "cannot stand beside `after`"
                return BadRequest("It begins when those of `after` have ended.", [FieldError(name, why)])
    return None


def read_submission(body: bytes, catalog: Catalog) -> tuple[PlainSubmission, Registered, Any]:
    """Decode a body and validate its data against the action; return also the data as decoded by that.

    Raises:
        BadRequest: it says what to mend, field by field.
    """
    try:
        submission = _decode(body)
        registered = catalog.find(submission.action)
        if registered is None:
            raise _unknown(submission.action, catalog)
        if not submission.action.isprintable():
            raise BadRequest(
                "Name an action without control characters.", [FieldError("action", "not printable")]
            )
    except msgspec.MsgspecError as error:
        raise _bad(error, "") from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not valid UTF-8: {error}.") from None
    try:
        decoded = registered.action.decode(submission.data)
        data = bytes(submission.data)
        _check_keys(body, data, given=submission.data is not _NO_DATA)
        check_depth(data)
    except msgspec.MsgspecError as error:
        raise _bad(error, "data") from None
    except (RecursionError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest("Mend the fields that `errors` names.", [FieldError("data", reason)]) from None
    if b"\\u0000" in body and (nul := _NUL.search(body)):
        place = FieldError("data", f"U+0000 at byte {nul.end() - 6} of the body")
        raise BadRequest("Leave the character U+0000 out: not every database can store it.", [place])
    return submission, registered, decoded


def _check_keys(body: bytes, data: bytes, given: bool) -> None:
    """Refuse an object that has a key twice: what reads it next may take the other value.

    Where the envelope has two colons, for its two fields, and the data at most one, no key can be there
    twice. Only other bodies are parsed again for it, and those with more than ASCII in their data: of what
    the action skips, nobody has yet said that it is UTF-8.
    """
    colons = data.count(b":")
    if colons <= 1 and body.count(b":") == colons + 2 and given and data.isascii():
        return
    json.loads(body.decode(), object_pairs_hook=_unique, parse_int=str, parse_float=str)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise BadRequest("Give each key once.", [FieldError(twice, "given twice in one object")])
    return found


def check_depth(data: bytes) -> None:
    """Raise RecursionError for valid JSON that is nested too deeply. Few brackets cannot be, wherever they stand."""
    if len(data) > DEPTH_LIMIT and data.count(b"[") + data.count(b"{") > DEPTH_LIMIT:
        brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
        if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH_LIMIT:
            raise RecursionError


def _unknown(name: str, catalog: Catalog) -> BadRequest:
    names = sorted(action.name for action in catalog.offered())
    near = nearest(name, names)
    known = ", ".join(names) or "none"
    message = f"unknown action; did you mean `{near}`?" if near else f"unknown action; known are: {known}"
    return BadRequest(f"No such action. Known actions: {known}.", [FieldError("action", message)])


_NOT_JSON: Mapping[str, str] = {"": "The body is not valid JSON", "data": "The data is not valid JSON"}


def _bad(error: msgspec.MsgspecError, inside: str) -> BadRequest:
    """Turn msgspec's error, such as ``Expected `str`, got `int` - at `$.text```, into a problem with a path."""
    message, _, path = str(error).partition(" - at `$")
    if not isinstance(error, msgspec.ValidationError):
        return BadRequest(f"{_NOT_JSON[inside]}: {message}.")
    path = path.removesuffix("`").lstrip(".") if not inside else path.removesuffix("`")
    if message.startswith(("Object contains unknown field", "Object missing required field")):
        path = f"{path}.{message.split('`')[1]}" if path or inside else message.split("`")[1]
    return BadRequest("Mend the fields that `errors` names.", [FieldError(inside + path, message)])
