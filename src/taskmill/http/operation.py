"""What an endpoint's function says of itself, beside itself: the OpenAPI document is made of it.

An :class:`Operation` decorates the function::

    @Operation("Get a task", "Tasks", path={"id": TaskId}, answers={200: Answer("The task.", Task)},
               problems={404: "No task has this id."})
    async def get_task(request): ...

A function without one is in the document all the same, with its path, its documentation and the type that it
returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec

from taskmill.http.auth.caller import Needed

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__taskmill_operation__"


def means(text: str, **schema: Any) -> msgspec.Meta:
    """Describe a field or a parameter in its annotation; ``schema`` is what JSON Schema can say of it besides.

    Nothing is checked by it: it is for values that are only written, or that other code reads strictly.
    """
    return msgspec.Meta(description=text, extra_json_schema=schema)


class Link(NamedTuple):
    """What can be asked next: another endpoint's function by name, and where its parameters stand in this answer.

    ``parameters`` are runtime expressions of OpenAPI, such as ``$response.body#/id``.
    """

    function: str
    parameters: Mapping[str, str]
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status of success means. ``body`` is the type of its JSON, None where it has none.

    ``headers`` are types by name, ``example`` is a value of the body.
    """

    meaning: str
    body: Any = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    media_type: str = "application/json"
    example: Any = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Operation:
    """What one endpoint does, takes and answers. ``tag`` is the group that it is shown in.

    ``query`` and ``body`` are the structs that read them; ``body_optional`` says that no body is taken as an empty
    object, and ``other_bodies`` are types of bodies that are not JSON, by their media types. ``path`` and ``headers``
    are types by name. ``examples`` are bodies by a name of a word or two. ``problems`` are texts by status, beside
    those that any request can meet. ``scope`` is what a caller must have where callers are told apart; ``for_limited``
    says that the function heeds which queues and actions a caller is limited to. Without it such callers are refused.
    """

    summary: str
    tag: str
    _: KW_ONLY
    description: str = ""
    path: Mapping[str, Any] = field(default_factory=dict)
    query: type[msgspec.Struct] | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    body_optional: bool = False
    other_bodies: Mapping[str, Any] = field(default_factory=dict)
    examples: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[int, Answer] = field(default_factory=dict)
    problems: Mapping[int, str] = field(default_factory=dict)
    scope: Needed = "admin"
    for_limited: bool = False

    def __call__(self, function: F) -> F:
        """Say it of a function."""
        setattr(function, _MARK, self)
        return function


class Served(NamedTuple):
    """An endpoint as its server knows it."""

    id: str
    method: str
    path: str
    function: Callable[..., Any]
    scope: Needed | None = None  # of a server that tells callers apart

    @property
    def plain(self) -> Callable[..., Any]:
        """The function itself, without what it ``needs`` bound to it."""
        function: Callable[..., Any] = getattr(self.function, "func", self.function)
        return function

    @property
    def operation(self) -> Operation | None:
        """What the function says of itself, if it does."""
        return operation_of(self.function)


def scope_of(function: Callable[..., Any]) -> Needed:
    """Return what a function says that its callers must have: `admin` where it says nothing."""
    said = operation_of(function)
    return "admin" if said is None else said.scope


def operation_of(function: Callable[..., Any]) -> Operation | None:
    """Return what a function says of itself, also behind ``functools.partial``."""
    found: Operation | None = getattr(getattr(function, "func", function), _MARK, None)
    return found
