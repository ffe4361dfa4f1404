"""The tree of one entry against the struct of its kind.

msgspec checks the values but stops at the first mistake. So the tree and the types are walked together here,
and msgspec is asked about one small value at a time: each bad field gives a problem of its own.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, get_args, get_origin

import msgspec

from taskmill.registry.config import ReferenceRule
from taskmill.registry.describe import LISTS, is_struct, members, rule_of, type_name, unwrap
from taskmill.registry.entry import Reference
from taskmill.registry.problems import nearest
from taskmill.registry.yaml_tree import Node
from taskmill.units import dec_hook

BAD: Final[Any] = object()  # stands for a value whose mistake has been reported


class Report(Protocol):
    """Takes one mistake in an entry."""

    def __call__(self, field: str | None, line: int, message: str, hint: str | None = None) -> None:
        """Note the mistake."""


class Converter:
    """Reads one entry, and notes the references and the lines of the fields on its way."""

    def __init__(self, namespace: str, report: Report) -> None:
        self._namespace = namespace
        self._report = report
        self.references: list[Reference] = []
        self.lines: dict[str, int] = {}
        self.origins: dict[str, str] = {}  # by field: the expression whose value must not be shown

    def read(self, node: Node, annotation: Any, path: str = "") -> Any:
        """Return the value in plain objects, references as whole ids; or BAD, with the mistake reported."""
        if path:
            self.lines[path] = node.line
        inner, metadata = unwrap(annotation)
        rule = rule_of(metadata)
        for member in members(inner):
            plain, member_metadata = unwrap(member)
            rule = rule or rule_of(member_metadata)
            if isinstance(node.value, dict) and is_struct(plain):
                return self._checked(self._struct(node, node.value, plain, path), annotation, node, path)
            items = get_args(plain)
            if isinstance(node.value, dict) and get_origin(plain) is dict:
                return self._checked(self._mapping(node.value, items, path), annotation, node, path)
            if isinstance(node.value, list) and get_origin(plain) in LISTS:
                return self._checked(self._list(node.value, items[0], path), annotation, node, path)
        return self._leaf(node, annotation, path, rule)

    def _struct(self, node: Node, fields: Mapping[str, Node], type_: Any, path: str) -> Any:
        prefix = f"{path}." if path else ""
        known = {info.encode_name: info for info in msgspec.structs.fields(type_)}
        result, complete = {}, True
        for key, child in fields.items():
            if key in known:
                result[key] = self.read(child, known[key].type, prefix + key)
            elif type_.__struct_config__.forbid_unknown_fields:
                self._report(prefix + key, child.line, "unknown field", nearest(key, known))
                complete = False
        for key, info in known.items():
            if info.required and key not in fields:
                self._report(prefix + key, node.line, "missing")
                complete = False
        return result if complete and BAD not in result.values() else BAD

    def _mapping(self, fields: Mapping[str, Node], types: tuple[Any, ...], path: str) -> Any:
        rule = rule_of(unwrap(types[0])[1])
        result, complete = {}, True
        for key, child in fields.items():
            place = f"{path}.{key}"
            name = key if rule is None else self._reference(key, place, Node(key, child.line), rule)
            if name in result:  # once with its namespace, once without
                self._report(place, child.line, "given twice")
                complete = False
            result[name] = self.read(child, types[1], place)
        return result if complete and BAD not in result.values() else BAD

    def _list(self, items: list[Node], type_: Any, path: str) -> Any:
        result = [self.read(child, type_, f"{path}[{index}]") for index, child in enumerate(items)]
        return BAD if BAD in result else result

    def _checked(self, value: Any, annotation: Any, node: Node, path: str) -> Any:
        """Check what concerns a container as a whole: its length, a struct's own rules."""
        if value is BAD:
            return BAD
        try:
            msgspec.convert(value, annotation, dec_hook=dec_hook)
        except msgspec.ValidationError as error:
            self._report(path or None, node.line, _message(error, annotation, node))
            return BAD
        return value

    def _leaf(self, node: Node, annotation: Any, path: str, rule: ReferenceRule | None) -> Any:
        candidates = [_plain(node)]
        if node.text is not None and not isinstance(node.value, str):
            candidates.append(node.text)  # a password of digits is a text where a text is wanted
        mistake: msgspec.ValidationError | None = None
        for value in candidates:
            try:
                msgspec.convert(value, annotation, dec_hook=dec_hook)
            except msgspec.ValidationError as error:
                mistake = mistake or error
            else:
                return self._reference(value, path, node, rule) if rule and isinstance(value, str) else value
        if mistake is not None:
            hint = None if node.origin else _nearest_choice(node.value, annotation)
            self._report(path or None, node.line, _message(mistake, annotation, node), hint)
        return BAD

    def _reference(self, value: str, path: str, node: Node, rule: ReferenceRule) -> str:
        target = value if ":" in value else f"{self._namespace}:{value}"
        self.references.append(Reference(path, target, rule))
        if node.origin is not None:
            self.origins[path] = node.origin
        return target


def shown(node: Node) -> str:
    """Return a value in words, short, and without what the environment gave."""
    if node.origin is not None:
        return f"what `{node.origin}` gives"
    match node.value:
        case None:
            text = "nothing"
        case str():
            text = node.value if len(node.value) <= 60 else f"{node.value[:60]}…"
            text = f"the text `{text}`"
        case list():
            text = "a list"
        case dict():
            text = "a mapping"
        case bool() | int() | float():
            text = f"`{str(node.value).lower()}`"
    return text


def _message(error: msgspec.ValidationError, annotation: Any, node: Node) -> str:
    # A rule of ours (a duration, a struct's __post_init__) says best what is wrong, but may show the value.
    if error.__cause__ is not None and node.origin is None:
        return str(error.__cause__)
    return f"expected {type_name(annotation)}, got {shown(node)}"


def _plain(node: Node) -> Any:
    """Return a tree as plain objects. Its depth is bounded by the parser's."""
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return node.value


def _nearest_choice(value: object, annotation: Any) -> str | None:
    choices = [
        choice
        for member in members(unwrap(annotation)[0])
        if get_origin(member) is Literal
        for choice in get_args(member)
    ]
    return nearest(value, map(str, choices)) if isinstance(value, str) else None
