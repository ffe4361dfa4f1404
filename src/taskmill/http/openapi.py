"""The OpenAPI 3.1 document of a server, made of what its endpoints' functions say of themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_type_hints

import msgspec
from starlette.responses import Response

from taskmill.http.openapi_schemas import Schemas
from taskmill.http.operation import Answer, Link, Operation, Served
from taskmill.http.problem import MEDIA_TYPE, Problem

_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
_RETRY_AFTER = {
    "schema": {"type": "integer", "minimum": 1},
    "description": "Seconds to wait.",
    "required": True,
}

# What any request can meet, whichever endpoint it asks for.
_ANY: Mapping[int, str] = {
    400: "No valid HTTP, or a wrong value, an unknown field or parameter: `errors` names them.",
    408: "The request did not arrive whole in time.",
    431: "The head of the request is too long.",
    500: "The server failed; its log says why.",
    503: "Too busy, or shutting down: try again after `Retry-After`.",
}
_ANY_WITH_BODY: Mapping[int, str] = {413: "The body is too long; the connection is closed."}
_ANY_WITH_JSON: Mapping[int, str] = {415: "The `Content-Type` is not JSON."}
_COMMON = {**_ANY, **_ANY_WITH_BODY, **_ANY_WITH_JSON}
_GUARDED: Mapping[int, str] = {
    401: "No key came with the request, or none that is known.",
    403: "The key does not have the scope that this takes, or not for this queue or action.",
}
_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, or a token: `Authorization: Bearer …`.",
}


def document(
    title: str,
    version: str,
    endpoints: Sequence[Served],
    schemas: Schemas,
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the document of these endpoints.

    ``schemas`` know the types that :func:`types_of` finds, ``tags`` are texts by the names of groups.
    """
    names = _names(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for served in sorted(endpoints, key=lambda one: (_parameters_last(one.path), one.method)):
        item = paths.setdefault(_PARAMETER.sub(r"{\1}", served.path), {})
        item[served.method.lower()] = _operation(served, names, schemas)
    texts = tags or {}
    used = {served.operation.tag for served in endpoints if served.operation is not None}
    guarded = any(served.scope is not None for served in endpoints)
    common = {**_COMMON, **_GUARDED} if guarded else _COMMON
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "tags": [
            {"name": tag, "description": texts.get(tag, "")} for tag in [*texts, *sorted(used - texts.keys())]
        ],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "responses": {_response_name(status): _problem(status, text) for status, text in common.items()},
            **({"securitySchemes": {"key": _KEY}} if guarded else {}),
        },
    }


def types_of(endpoints: Iterable[Served]) -> Iterator[Any]:
    """Find the types of all bodies that endpoints take and answer."""
    yield Problem
    for served in endpoints:
        said = served.operation or _unsaid(served)
        yield from [] if said.body is None else [said.body]
        for answer in said.answers.values():
            yield from [] if answer.body is None else [answer.body]


def _operation(served: Served, names: Mapping[str, str], schemas: Schemas) -> dict[str, Any]:
    said = served.operation or _unsaid(served)
    operation: dict[str, Any] = {"operationId": names[served.id], "summary": said.summary}
    scope = f"Takes the scope `{served.scope}`." if served.scope not in (None, "public") else ""
    if said.description or scope:
        operation["description"] = "\n\n".join(filter(None, (said.description, scope)))
    if said.tag:
        operation["tags"] = [said.tag]
    if parameters := list(_parameters(served, said, schemas)):
        operation["parameters"] = parameters
    if said.body is not None:
        operation["requestBody"] = {
            "required": not said.body_optional,
            "content": {
                "application/json": {"schema": schemas.of(said.body), **_examples(said)},
                **{name: {"schema": schemas.of(type_)} for name, type_ in said.other_bodies.items()},
            },
        }
    if served.scope not in (None, "public"):
        operation["security"] = [{"key": []}]
    operation["responses"] = {
        **{str(status): _answer(answer, names, schemas) for status, answer in said.answers.items()},
        **{str(status): response for status, response in sorted(_problems(served, said).items())},
    }
    return operation


def _unsaid(served: Served) -> Operation:
    """Make an operation of what is known of a function that says nothing."""
    text = inspect.getdoc(served.plain) or ""
    summary, _, more = text.partition("\n\n")
    returned = _returned(served)
    answer = Answer("What the function answers.", returned)
    return Operation(
        summary.replace("\n", " ") or served.id, "", description=more, answers={200: answer},
        path=dict.fromkeys(_PARAMETER.findall(served.path), str),
    )  # fmt: skip


def _returned(served: Served) -> Any:
    """Return the type of a function's JSON as far as it declares one; ``Any`` where it may be anything."""
    try:
        hint = get_type_hints(served.plain, include_extras=True).get("return", Any)
    except (NameError, TypeError):  # it is declared by names that stand nowhere
        return Any
    return Any if hint is None or _is_response(hint) else hint


def _is_response(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Response)


def _parameters(served: Served, said: Operation, schemas: Schemas) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(served.path):
        yield _parameter(name, "path", schemas.of(said.path.get(name, str)), required=True)
    if said.query is not None:
        properties, required = schemas.fields(said.query)
        for name, schema in properties.items():
            yield _parameter(name, "query", schema, required=name in required)
    for name, type_ in said.headers.items():
        yield _parameter(name, "header", schemas.of(type_), required=False)


def _parameter(name: str, place: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, **_described(schema)}


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Put a value's description beside its schema, where readers look for it."""
    rest = {name: value for name, value in schema.items() if name != "description"}
    text = schema.get("description")
    return {"description": text, "schema": rest} if text else {"schema": rest}


def _examples(said: Operation) -> dict[str, Any]:
    if not said.examples:
        return {}
    return {"examples": {name: {"value": value} for name, value in said.examples.items()}}


def _answer(answer: Answer, names: Mapping[str, str], schemas: Schemas) -> dict[str, Any]:
    response: dict[str, Any] = {"description": answer.meaning}
    if answer.headers:
        response["headers"] = {name: _described(schemas.of(type_)) for name, type_ in answer.headers.items()}
    if answer.body is not None:
        content: dict[str, Any] = {"schema": schemas.of(answer.body)}
        if answer.example is not msgspec.UNSET:
            content["example"] = answer.example
        response["content"] = {answer.media_type: content}
    if links := {link.function: _link(link) for link in answer.links if link.function in names.values()}:
        response["links"] = links
    return response


def _link(link: Link) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": link.function, "parameters": dict(link.parameters)}
    if link.meaning:
        made["description"] = link.meaning
    return made


def _problems(served: Served, said: Operation) -> dict[int, dict[str, Any]]:
    """Return the answers that say no: those of any request, and the endpoint's own in their place."""
    common = dict(_ANY)
    if served.method in ("POST", "PUT", "PATCH"):
        common |= _ANY_WITH_BODY
    if said.body is not None:
        common |= _ANY_WITH_JSON
    if served.scope not in (None, "public"):
        common |= _GUARDED
    return {
        **{status: {"$ref": f"#/components/responses/{_response_name(status)}"} for status in common},
        **{status: _problem(status, text) for status, text in said.problems.items()},
    }


def _problem(status: int, text: str) -> dict[str, Any]:
    example = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": text}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    response: dict[str, Any] = {"description": text, "content": {MEDIA_TYPE.decode(): content}}
    if status in (429, 503):
        response["headers"] = {"Retry-After": _RETRY_AFTER}
    return response


def _response_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _names(endpoints: Sequence[Served]) -> dict[str, str]:
    """Return an operation id for each endpoint's id: its function's name, and the entry's where two serve one."""
    functions = [served.plain.__name__ for served in endpoints]
    return {
        served.id: name if functions.count(name) == 1 else re.sub(r"\W", "_", served.id)
        for served, name in zip(endpoints, functions, strict=True)
    }


def _parameters_last(path: str) -> list[tuple[bool, str]]:
    """Order paths by their parts, so that `/tasks/cancel` stands before `/tasks/{id}`."""
    return [(part.startswith("{"), part) for part in path.split("/")]
