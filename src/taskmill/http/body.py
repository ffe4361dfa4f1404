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
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise BadRequest("Send JSON, with `Content-Type: application/json`.", status=415)
    body = await request.body()
    try:
        decoded: T = _decoder(type_).decode(body or b"{}")
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
