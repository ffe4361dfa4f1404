"""The reference of all kinds as Markdown, generated from the structs that check them."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import msgspec

from taskmill.registry.config import EntryConfig
from taskmill.registry.describe import is_struct, members, type_name, unwrap
from taskmill.registry.entry import KindSpec

_HEAD = "| field | type | default | meaning |\n| --- | --- | --- | --- |"


def reference_markdown(kinds: Iterable[KindSpec]) -> str:
    """Return the Markdown text: the fields of every entry, then each kind with its own."""
    common = {info.encode_name: info.type for info in msgspec.structs.fields(EntryConfig)}
    parts = ["# Kinds", "## Every entry", _table(EntryConfig, {})]
    for spec in sorted(kinds, key=lambda spec: spec.kind):
        parts.append(f"## `{spec.kind}`")
        if spec.Config.__doc__:
            parts.append(inspect.cleandoc(spec.Config.__doc__))
        parts.append(_table(spec.Config, common))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(type_: Any, known: dict[str, Any]) -> str:
    rows = [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in _rows(type_, "", known)
    ]
    return "\n".join([_HEAD, *rows]) if rows else ""


def _rows(type_: Any, prefix: str, known: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for info in msgspec.structs.fields(type_):
        if known.get(info.encode_name) == info.type:
            continue  # described under "Every entry"
        path = prefix + info.encode_name
        inner, metadata = unwrap(info.type)
        meaning = " ".join(meta.description for meta in metadata if meta.description)
        yield f"`{path}`", type_name(info.type), _default(info), meaning
        for struct, suffix in _structs(inner):
            yield from _rows(struct, f"{path}{suffix}.", {})


def _structs(annotation: Any) -> Iterator[tuple[Any, str]]:
    """Yield the structs in a field's type, each with how a path leads into it."""
    for member in members(annotation):
        inner, _ = unwrap(member)
        if is_struct(inner):
            yield inner, ""
        for argument in get_args(inner) if len(members(inner)) == 1 else ():
            item, _ = unwrap(argument)
            if is_struct(item):
                yield item, "[]"


def _default(info: msgspec.structs.FieldInfo) -> str:
    if info.required:
        return "required"
    value = info.default_factory() if info.default is msgspec.NODEFAULT else info.default
    match value:
        case None | "" | msgspec.Struct() | [] | {}:
            return ""
        case bool():
            return f"`{str(value).lower()}`"
    return f"`{value}`"
