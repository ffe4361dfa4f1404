"""Actions: plain typed functions that tasks run. The signature is the schema of a task's ``data``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    ParamSpec,
    Protocol,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

import msgspec
from msgspec.structs import asdict

from taskmill.tasks.actions.options import Declared, DeclaredAlone, Options
from taskmill.tasks.actions.submitting import Submittable, WithOptions, arguments, submission_of

if TYPE_CHECKING:
    from taskmill.client import Submission, SubmitOptions

P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")  # an item
Y = TypeVar("Y")  # what comes of one

ANY = "*"  # the name of the action that takes every name that is not registered
RESULT_LIMIT = 8 * 2**20  # bytes

_PLAIN = {str, int, float, bool, type(None), list, tuple}  # told apart from mappings at once
_HARMLESS = {str, int, bool, type(None)}
_encode = msgspec.json.Encoder().encode


class ActionError(Exception):
    """A function cannot be an action; the text says why."""


class ResultError(Exception):
    """What an action returned cannot be stored; the text says why."""


class Action(Submittable[P, R]):
    """A function that tasks run, and how they run it. Calling it calls the function; ``submit`` makes a task of it.

    ``data_type`` is what ``data`` must be: a struct of the function's parameters, or, for a function of one
    positional-only parameter, that parameter's own type; and for one with a ``batch``, what its list is of.
    ``result_type`` is what a task of it returns. ``served_outside`` says that workers outside of this program
    run its tasks, and they alone; ``internal``, that Taskmill itself makes them, and nobody else.
    """

    served_outside: ClassVar[bool] = False
    internal: ClassVar[bool] = False

    def __init__(
        self, function: Callable[P, R], name: str | None = None, **declared: Unpack[Declared]
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.is_async = inspect.iscoroutinefunction(function)
        self.description = inspect.getdoc(function) or ""
        if not self.name or len(self.name) > 200 or not self.name.isprintable():
            raise ActionError(f"{self.name!r} cannot name an action: use up to 200 printable characters")
        try:
            self.options = Options.of(declared)
        except (ValueError, TypeError) as error:
            raise ActionError(f"action {self.name}: {error}") from None
        self.inline = self.options.inline
        self.max_attempts = self.options.max_attempts
        if self.inline and self.is_async:
            raise ActionError(
                f"action {self.name}: an `async def` runs on the loop anyway; leave `inline` out"
            )
        if self.options.batch is None:
            self._whole, self.data_type = _data_type(function, self.name)
        else:
            self._whole, self.data_type = True, _item_type(function, self.name)
        self._decode = msgspec.json.Decoder(self.data_type).decode

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def with_options(self, **options: Unpack[SubmitOptions]) -> WithOptions[P, R]:
        """Give options to a task of it: `uppercase.with_options(delay="10s").submit(text="hi")`."""
        return WithOptions(self._with, options)

    def _submission(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submission[Any]:
        return self._with(args, kwargs, {})

    def _with(self, args: tuple[Any, ...], kwargs: dict[str, Any], options: SubmitOptions) -> Submission[Any]:
        if self.name == ANY:
            raise ActionError("`*` takes any name and has none: write client.submit(name, data)")
        given = arguments(self.function, args, kwargs)
        data = next(iter(given.values())) if self._whole else given
        return submission_of(self.name, data, self.result_type, options)

    @property
    def result_type(self) -> Any:
        """What a task of it returns, as far as the function says."""
        returned = _hints(self.function).get("return", Any)
        return returned if self.options.batch is None else _one_of(returned)

    def decode(self, data: bytes | str | msgspec.Raw) -> Any:
        """Decode and validate JSON ``data``; raise msgspec.ValidationError or msgspec.DecodeError."""
        return self._decode(data)

    def decode_stored(self, data: bytes | str | msgspec.Raw) -> Any:
        """Decode what may have been stored for an older version of it: what it takes no more, ``upgrade`` mends.

        Raises what :meth:`decode` does, of the mended data, or whatever ``upgrade`` raises.
        """
        upgrade = self.options.upgrade
        if upgrade is None:
            return self.decode(data)
        try:
            return self.decode(data)
        except msgspec.ValidationError:
            return self.decode(_encode(upgrade(msgspec.json.decode(data))))

    def run(self, decoded: Any) -> Any:
        """Call the function with what :meth:`decode` returned. For an ``async def`` that makes the coroutine."""
        if self._whole:
            return self.function(decoded)  # type: ignore[call-arg]
        return self.function(**asdict(decoded))  # type: ignore[call-arg]


class BatchAction(Action[[X], Y]):
    """As type checkers see an action with a ``batch``: a task of it takes one item, and returns one result."""

    if TYPE_CHECKING:

        def __call__(self, items: list[X], /) -> Any:  # type: ignore[override]
            """Call the function itself, with the items of a whole batch."""


class MakeBatch(Protocol):
    """What makes an action of a function that takes a list of items, and returns a list of results or errors."""

    @overload
    def __call__(
        self, function: Callable[[list[X]], Coroutine[Any, Any, list[Y]]], /
    ) -> BatchAction[X, Y]: ...
    @overload
    def __call__(self, function: Callable[[list[X]], list[Y]], /) -> BatchAction[X, Y]: ...


@overload
def action(function: Callable[P, R], /) -> Action[P, R]: ...
@overload
def action(
    *, name: str | None = None, **declared: Unpack[DeclaredAlone]
) -> Callable[[Callable[P, R]], Action[P, R]]: ...
@overload
def action(
    *,
    name: str | None = None,
    batch: int,
    batch_wait: str | float = ...,
    **declared: Unpack[DeclaredAlone],
) -> MakeBatch: ...
def action(
    function: Callable[P, R] | None = None, /, name: str | None = None, **declared: Unpack[Declared]
) -> Any:
    """Make a function an action.

    ``async def`` runs on the event loop; ``def`` in a worker process, so that it may take its time, and crash;
    ``inline=True`` runs a ``def`` on the loop, for functions of microseconds. ``name="*"`` takes every name
    that is not registered. docs/reference/actions.md tells of every option.

    Raises:
        ActionError: the function cannot be one, or an option is wrong.
    """
    if function is not None:
        return Action(function)
    kind = Action if declared.get("batch") is None else BatchAction
    return lambda function: kind(function, name, **declared)


def encode_result(value: object) -> bytes:
    """Write what an action returned as JSON: a mapping as it is, anything else as ``{"output": …}``.

    Raises:
        ResultError: JSON cannot say it, or it is too long.
    """
    harmless = type(value) in _HARMLESS
    if type(value) in _PLAIN or not (isinstance(value, Mapping | msgspec.Struct) or is_dataclass(value)):
        value = {"output": value}
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ResultError(f"the action returned what JSON cannot say: {error}") from None
    if not harmless and (wrong := unsayable(value)):
        raise ResultError(f"the action returned what JSON cannot say: {wrong}")
    if len(encoded) > RESULT_LIMIT:
        raise ResultError(f"the action returned {len(encoded)} bytes; a result may have {RESULT_LIMIT}")
    return encoded


def unsayable(value: object) -> str:
    """Name what msgspec would write though JSON has nothing for it: NaN and infinity as null, bytes as Base64."""
    pending = [value]
    while pending:
        value = pending.pop()
        if type(value) in _HARMLESS:
            continue
        if isinstance(value, float):
            if not math.isfinite(value):
                return "NaN or infinity"
        elif isinstance(value, bytes | bytearray | memoryview):
            return "bytes; decode them, or encode them as text"
        elif isinstance(value, Mapping):
            pending += value
            pending += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            pending += value
        elif isinstance(value, msgspec.Struct):
            pending += asdict(value).values()
        elif is_dataclass(value):
            pending += vars(value).values()
    return ""


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def _item_type(function: Callable[..., Any], name: str) -> Any:
    """Return what the list is of that a function with a ``batch`` takes."""
    parameters = list(inspect.signature(function).parameters)
    hint = _hints(function).get(parameters[0], list) if len(parameters) == 1 else None
    if (get_origin(hint) or hint) is not list:
        raise ActionError(
            f"action {name}: with `batch` it takes one parameter, a list of what single tasks have as data, "
            "such as `items: list[dict[str, str]]`"
        )
    return (get_args(hint) or (Any,))[0]


def _one_of(returned: Any) -> Any:
    """Return the type of one result where a function returns a list of them, without the errors among them."""
    if (get_origin(returned) or returned) is not list:
        return Any
    one = (get_args(returned) or (Any,))[0]
    if not isinstance(one, UnionType) and get_origin(one) is not Union:
        return one
    kept = [
        part for part in get_args(one) if not (isinstance(part, type) and issubclass(part, BaseException))
    ]
    return Union[tuple(kept)] if kept else Any  # noqa: UP007 - made at run time


def _data_type(function: Callable[..., Any], name: str) -> tuple[bool, Any]:
    hints = _hints(function)
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) == 1 and parameters[0].kind is inspect.Parameter.POSITIONAL_ONLY:
        return True, hints.get(parameters[0].name, Any)
    fields: list[Any] = []
    for parameter in parameters:
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            raise ActionError(
                f"action {name}: parameter `{parameter}` has no name in `data`; "
                "use named parameters, or one positional-only parameter that takes all of it"
            )
        hint = hints.get(parameter.name, Any)
        if parameter.default is inspect.Parameter.empty:
            fields.append((parameter.name, hint))
        else:
            fields.append((parameter.name, hint, _default(parameter.default)))
    try:
        struct = msgspec.defstruct(f"{name}_data", fields, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.Decoder(struct)
    except TypeError as error:
        raise ActionError(f"action {name}: {error}") from None
    return False, struct


def _default(value: Any) -> Any:
    """Let a mutable default be made afresh for each task."""
    if isinstance(value, list | dict | set) and value:
        return msgspec.field(default_factory=lambda: type(value)(value))
    return value
