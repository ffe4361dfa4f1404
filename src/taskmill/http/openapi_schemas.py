"""The JSON Schemas of an OpenAPI document, made of types by msgspec."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

REF = "#/components/schemas/{name}"


class Schemas:
    """The schemas of all types that a document names. ``components`` are those of structs, by name.

    Types that have one name get longer ones, so all must be known from the beginning.
    """

    def __init__(self, types: Iterable[Any]) -> None:
        found = list(types)
        schemas, components = msgspec.json.schema_components(found, schema_hook=_unknown, ref_template=REF)
        self.components = {name: _plain_object(schema) for name, schema in sorted(components.items())}
        self._schemas = [(type_, _plain_object(schema)) for type_, schema in zip(found, schemas, strict=True)]

    def of(self, type_: Any) -> dict[str, Any]:
        """Return the schema of a type: a reference where it is a struct that was named at the beginning."""
        for known, schema in self._schemas:
            if known is type_ or known == type_:
                return schema
        (schema,), _ = msgspec.json.schema_components([type_], schema_hook=_unknown, ref_template=REF)
        return _plain_object(schema)

    def fields(self, struct: type[msgspec.Struct]) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Return the schemas of a struct's fields, and the names of those that are required.

        They are for where nothing can be null, such as a query string.
        """
        _, components = msgspec.json.schema_components([struct], schema_hook=_unknown)
        component = _plain_object(components[struct.__name__])
        properties = {name: _never_null(schema) for name, schema in component["properties"].items()}
        return properties, component["required"]


def _unknown(_: type) -> dict[str, Any]:
    """Say nothing of a type that msgspec has no schema for."""
    return {}


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    schema = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    match schema.get("type"):
        case [type_, "null"]:
            schema["type"] = type_
            if "enum" in schema:
                schema["enum"] = [choice for choice in schema["enum"] if choice is not None]
    return schema


def _plain_object(schema: dict[str, Any]) -> dict[str, Any]:
    """Write a schema as people do: docstrings in Markdown, and `["string", "null"]` for what may be null."""
    plain = {name: _plain(inner) for name, inner in schema.items()}
    if isinstance(plain.get("description"), str):
        plain["description"] = plain["description"].replace("``", "`")
    match plain.get("anyOf"):
        case [{"type": str(type_)} as one, {"type": "null"}]:
            del plain["anyOf"]
            plain = {**one, "type": [type_, "null"], **plain}
            if "enum" in plain:
                plain["enum"] = [*plain["enum"], None]
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain_object(value)
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
