"""``GET /actions``: what an application can be asked to do, with schemas to make a form of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, get_origin, is_typeddict

import msgspec
from starlette.requests import Request

from taskmill.http import Answer, Operation, parse_query
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.options import OverLimit
from taskmill.tasks.api import NoQuery
from taskmill.tasks.external.declared import DeclaredAction
from taskmill.tasks.openapi import words
from taskmill.tasks.service import TaskService


class ShownRate(msgspec.Struct):
    """At most ``count`` starts in any ``seconds``."""

    count: int
    seconds: float


class ShownOptions(msgspec.Struct, kw_only=True):
    """What an action declares of its tasks; durations are seconds. ``queue`` is null for the service's own."""

    runs: Literal["inline", "loop", "process", "outside"]
    queue: str | None
    priority: int
    max_attempts: int
    timeout: float | None
    expires_in: float | None
    concurrency: int | None
    rate_limit: ShownRate | None
    concurrency_key: str | None
    over_limit: OverLimit
    fair_key: str | None
    index: list[str]
    batch: int | None
    batch_wait: float | None


class ShownAction(msgspec.Struct, kw_only=True):
    """An action. ``data`` and ``result`` are JSON Schemas; an empty one says nothing of what it returns."""

    name: str
    description: str
    data: dict[str, Any]
    result: dict[str, Any]
    options: ShownOptions


class ActionList(msgspec.Struct):
    """The answer of ``GET /actions``."""

    actions: list[ShownAction]
    count: int


@Operation(
    "List the actions", words.ACTIONS, scope="observe", for_limited=True,
    answers={200: Answer("Each, by name.", ActionList)},
)  # fmt: skip
async def list_actions(request: Request, *, tasks: TaskService) -> ActionList:
    """``GET /actions``: by name, the one that takes any name last."""
    parse_query(request.scope["query_string"], NoQuery)
    shown = [_shown(action) for action in tasks.catalog.offered()]
    return ActionList(shown, len(shown))


def _shown(action: Action[Any, Any]) -> ShownAction:
    options, rate = action.options, action.options.rate
    return ShownAction(
        name=action.name,
        description=action.description,
        data=_schema(action.data_type),
        result=_result(action),
        options=ShownOptions(
            runs=_where(action),
            queue=options.queue or None,
            priority=options.priority,
            max_attempts=options.max_attempts,
            timeout=options.timeout,
            expires_in=options.expires_in,
            concurrency=options.concurrency,
            rate_limit=None if rate is None else ShownRate(rate.count, rate.seconds),
            concurrency_key=options.concurrency_key,
            over_limit=options.over_limit,
            fair_key=options.fair_key,
            index=list(options.index),
            batch=options.batch,
            batch_wait=None if options.batch is None else options.batch_wait,
        ),
    )


def _where(action: Action[Any, Any]) -> Literal["inline", "loop", "process", "outside"]:
    if action.served_outside:
        return "outside"
    return "inline" if action.inline else "loop" if action.is_async else "process"


def _result(action: Action[Any, Any]) -> dict[str, Any]:
    """Return the schema of a task's result: a mapping as it is returned, anything else in `output`."""
    if isinstance(action, DeclaredAction):
        return action.result
    returned = action.result_type
    if returned is Any:
        return {}
    schema = _schema(returned)
    plain = get_origin(returned) or returned
    if is_typeddict(plain) or is_dataclass(plain):
        return schema
    if isinstance(plain, type) and issubclass(plain, Mapping | msgspec.Struct):
        return schema
    definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
    return {"type": "object", "properties": {"output": schema}, "required": ["output"], **definitions}


def _schema(type_: Any) -> dict[str, Any]:
    try:
        return msgspec.json.schema(type_)
    except TypeError:  # of a type that msgspec does not know, which what is returned may well be
        return {}
