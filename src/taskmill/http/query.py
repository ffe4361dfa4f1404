"""Query strings, decoded strictly: a misspelt parameter is an error, never silently ignored."""

from __future__ import annotations

import difflib
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from taskmill.http.problem import BadRequest, FieldError

T = TypeVar("T", bound=msgspec.Struct)


def parse_open_query(query: bytes, type_: type[T], prefix: str) -> tuple[T, dict[str, str]]:
    """Decode a query string as :func:`parse_query`, and apart from it the parameters that begin with a prefix."""
    others: dict[str, str] = {}
    return _parse(query, type_, prefix, others), others


def parse_query(query: bytes, type_: type[T]) -> T:
    """Decode a raw query string into the struct ``type_``, whose fields are the parameters that are known.

    Raises:
        BadRequest: an unknown, repeated or badly valued parameter, or text that is not UTF-8.
    """
    return _parse(query, type_, None, {})


def _parse(query: bytes, type_: type[T], prefix: str | None, others: dict[str, str]) -> T:
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100, separator="&"
        )
    except ValueError:
        raise BadRequest("The query string cannot be read; percent-encode it as UTF-8.") from None
    known = type_.__struct_fields__
    values: dict[str, str] = {}
    errors = []
    for name, value in pairs:
        if prefix is not None and name.startswith(prefix):
            if name in others:
                errors.append(FieldError(name, "given twice"))
            others[name] = value
        elif name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(known) or 'none'}"
            errors.append(FieldError(name, f"unknown parameter; {hint}"))
        elif name in values:
            errors.append(FieldError(name, "given twice"))
        else:
            values[name] = value
    if errors:
        raise BadRequest("Mend the query parameters that `errors` names.", errors)
    try:
        return msgspec.convert(values, type_, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise BadRequest(
            "Mend the query parameters that `errors` names.", [FieldError(path.rstrip("`"), message)]
        ) from None
