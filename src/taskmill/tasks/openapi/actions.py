"""The actions in an OpenAPI document: each one's data by name, and bodies that are a choice among them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from taskmill.http import Schemas
from taskmill.tasks.actions.action import ANY, Action
from taskmill.tasks.actions.catalog import Catalog

CHOICES = 50  # actions; a choice among more is no help to a reader, and long

# The commonest of what cannot be printed. The classes that would name all of it are not known to every reader of a
# document.
PRINTABLE = r"^[^\x00-\x1f\x7f-\xa0\xad\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]*$"

_Schema = dict[str, Any]


class Named(NamedTuple):
    """An action with its name among components, which have no odd characters, and the type that its data has there."""

    action: Action[Any, Any]
    name: str
    data_type: Any


def named(actions: Iterable[Action[Any, Any]]) -> list[Named]:
    """Give each action a name of its own among components."""
    found: dict[str, Named] = {}
    for action in actions:
        wanted = "any" if action.name == ANY else re.sub(r"[^A-Za-z0-9._-]", "_", action.name)
        name, number = wanted, 1
        while name in found:
            number += 1
            name = f"{wanted}_{number}"
        found[name] = Named(action, name, _shown_type(action, name))
    return list(found.values())


def _shown_type(action: Action[Any, Any], name: str) -> Any:
    data_type = action.data_type
    if getattr(data_type, "__name__", "") != f"{action.name}_data":
        return data_type
    return msgspec.defstruct(f"{name}_data", [], bases=(data_type,))


def describe(schemas: Schemas, actions: Sequence[Named], bodies: Iterable[str]) -> None:
    """Put actions into the components of schemas, which know their types already.

    ``bodies`` are components that have an ``action`` and its ``data``. Each becomes a choice: a schema for each
    action, with the data that it takes.
    """
    components = schemas.components
    for one in actions:
        text = one.action.description or f"The data of action `{one.action.name}`."
        component = {**schemas.of(one.data_type), "description": text}
        components.setdefault(f"{one.name}_data", component).setdefault("description", text)
    for body in bodies:
        if body in components and len(actions) <= CHOICES:
            components[body] = _choice(components, body, actions)


def keep_possible(document: dict[str, Any], catalog: Catalog) -> None:
    """Leave out examples of bodies whose action this application has not, or which has it take other data."""
    for item in document["paths"].values():
        for operation in item.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = content.pop("examples", {})
            kept = {name: one for name, one in examples.items() if _is_possible(one["value"], catalog)}
            if kept:
                content["examples"] = kept


def _is_possible(body: Any, catalog: Catalog) -> bool:
    if not isinstance(body, dict) or "data" not in body:
        return True
    registered = catalog.find(body["action"])
    if registered is None:
        return False
    try:
        registered.action.decode(msgspec.json.encode(body["data"]))
    except msgspec.MsgspecError:
        return False
    return True


def _choice(components: dict[str, _Schema], body: str, actions: Sequence[Named]) -> _Schema:
    whole = components[body]
    known = [one.action.name for one in actions if one.action.name != ANY]
    references: dict[str, str] = {}
    for one in actions:
        name = f"{one.name}_{body}"
        components[name] = {**_variant(whole, one, known), "title": name}
        references[one.action.name] = f"#/components/schemas/{name}"
    choice: _Schema = {
        "title": body,
        "description": whole.get("description", ""),
        "oneOf": [{"$ref": reference} for reference in references.values()],
    }
    if ANY not in references:  # a mapping cannot say "any other"
        choice["discriminator"] = {"propertyName": "action", "mapping": references}
    return choice


def _variant(whole: _Schema, one: Named, known: Sequence[str]) -> _Schema:
    """Return a body's schema for one action."""
    action: Mapping[str, Any]
    if one.action.name == ANY:
        action = {
            **whole["properties"]["action"],
            "description": "Any name that is no other action's, of characters that can be printed.",
            "pattern": PRINTABLE,
            "not": {"enum": list(known)},
        }
    else:
        action = {"const": one.action.name}
    data = {"$ref": f"#/components/schemas/{one.name}_data"}
    required = [*whole["required"], *(["data"] if _needs_data(one.action) else [])]
    return {
        **whole,
        "properties": {**whole["properties"], "action": action, "data": data},
        "required": required,
    }


def _needs_data(action: Action[Any, Any]) -> bool:
    """Tell whether an action does not take ``{}``, which stands for data that is left out."""
    try:
        action.decode(b"{}")
    except msgspec.MsgspecError:
        return True
    return False
