"""Types in words, for messages and for the reference of kinds."""

import types
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from taskmill.registry.config import ReferenceRule, reference_rule
from taskmill.units import Duration, Size

LISTS: Final = (list, tuple, set, frozenset)
_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Duration: "duration",
    Size: "size",
    Any: "anything",
    type(None): "nothing",
    dict: "mapping",
    list: "list",
}


def unwrap(annotation: Any) -> tuple[Any, list[msgspec.Meta]]:
    """Split `Annotated[T, Meta(...), ...]` into T and its metadata."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return inner, [meta for meta in metadata if isinstance(meta, msgspec.Meta)]
    return annotation, []


def rule_of(metadata: list[msgspec.Meta]) -> ReferenceRule | None:
    """Return the reference rule among the metadata, if there is one."""
    return next((rule for meta in metadata if (rule := reference_rule(meta))), None)


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a union, and any other type alone."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def is_struct(annotation: Any) -> bool:
    """Tell whether a type is a msgspec struct."""
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def type_name(annotation: Any) -> str:
    """Return a type in words, with its bounds."""
    inner, metadata = unwrap(annotation)
    if rule := rule_of(metadata):
        return f"id of {rule_name(rule)}"
    return _plain_name(inner) + _bounds(metadata)


def rule_name(rule: ReferenceRule) -> str:
    """Return what a reference may point to, in words."""
    kinds = " or ".join(f"`{kind}`" for kind in rule.kinds if kind != "*")
    return f"a {kinds}" if kinds else "an entry"


def _plain_name(annotation: Any) -> str:
    alternatives = members(annotation)
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if len(alternatives) > 1:
        name = " or ".join(map(type_name, alternatives))
    elif origin is Literal:
        name = " or ".join(f"`{choice}`" for choice in arguments)
    elif origin is dict:
        key = f"{type_name(arguments[0])} to " if rule_of(unwrap(arguments[0])[1]) else ""
        name = f"mapping of {key}{type_name(arguments[1])}"
    elif origin in LISTS:
        name = f"list of {type_name(arguments[0])}"
    elif is_struct(annotation):
        name = "mapping"
    else:
        name = _WORDS.get(annotation) or str(getattr(annotation, "__name__", annotation))
    return name


def _bounds(metadata: list[msgspec.Meta]) -> str:
    parts = []
    for meta in metadata:
        for label, limit in (
            ("at least", meta.ge),
            ("more than", meta.gt),
            ("at most", meta.le),
            ("less than", meta.lt),
            ("matching", meta.pattern and f"`{meta.pattern}`"),
            ("length at least", meta.min_length),
            ("length at most", meta.max_length),
        ):
            if limit is not None:
                parts.append(f"{label} {limit:,}" if isinstance(limit, int) else f"{label} {limit}")
    return f" ({', '.join(parts)})" if parts else ""
