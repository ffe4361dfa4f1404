"""JSON bodies, decoded strictly: an unknown field is an error that names it."""

from __future__ import annotations

import difflib
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from taskmill.http.problem import BadRequest, FieldError

T = TypeVar("T", bound=msgspec.Struct)


@cache
def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(type_)


async def parse_body(request: Request, type_: type[T]) -> T:
    """Decode a request's body into the struct ``type_``, which forbids unknown fields; no body is an empty object.

    Raises:
        BadRequest: no JSON, or an unknown or badly valued field.
    """
    return decode_body(await _json_of(request), type_)


async def parse_open_body(request: Request, type_: type[T], prefix: str) -> tuple[T, dict[str, Any]]:
    """Decode a body as :func:`parse_body`, and apart from it the fields that begin with a prefix."""
    body = await _json_of(request)
    others: dict[str, Any] = {}
    if prefix.encode() in body:
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
            others = {
                name: msgspec.json.decode(value) for name, value in fields.items() if name.startswith(prefix)
            }
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return decode_body(body, type_), {}  # which says what is wrong
        body = msgspec.json.encode({name: value for name, value in fields.items() if name not in others})
    return decode_body(body, type_), others


async def _json_of(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise BadRequest("Send JSON, with `Content-Type: application/json`.", status=415)
    return await request.body() or b"{}"


def decode_body(body: bytes, type_: type[T]) -> T:
    """Decode JSON into the struct ``type_``, which forbids unknown fields; raise BadRequest where it is none."""
    try:
        decoded: T = _decoder(type_).decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest("Mend the fields that `errors` names.", [_field(str(error), type_)]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from None
    return decoded


def _field(text: str, type_: type[Any]) -> FieldError:
    """Turn msgspec's ``Expected `int`, got `str` - at `$.limit``` into a field and what is wrong with it."""
    message, _, path = text.partition(" - at `$.")
    if message.startswith("Object contains unknown field") and not path:
        name, known = message.split("`")[1], type_.__struct_fields__
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known)}"
        return FieldError(name, f"unknown field; {hint}")
    if message.startswith("Object missing required field"):
        path = f"{path.rstrip('`')}.{message.split('`')[1]}".lstrip(".")
    return FieldError(path.rstrip("`"), message)
