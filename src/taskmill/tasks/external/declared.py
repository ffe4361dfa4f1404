"""Actions without a function: a name and a JSON Schema, for workers outside of this program."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Annotated, Any, Unpack

import msgspec

from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.options import Declared, Options


class SchemaFlaw(Exception):
    """What is declared is no JSON Schema; the text says why."""


def unserved() -> None:
    """Stand for the function, which is not here. It is never called."""


class DeclaredAction(Action[..., Any]):
    """An action whose function is a worker's outside. ``schema`` is of its data, ``result`` of what comes back.

    Raises:
        ValueError: an option is wrong.
        SchemaFlaw: a schema is none.
        SupervisorError: the library that reads schemas is not installed.
    """

    served_outside = True

    def __init__(
        self,
        name: str,
        schema: dict[str, Any],
        result: dict[str, Any],
        description: str,
        **declared: Unpack[Declared],
    ) -> None:
        self.function = unserved
        self.name = name
        self.is_async = self.inline = False
        self.description = description
        self.options = Options.of(declared)
        self.max_attempts = self.options.max_attempts
        self.data_type = Annotated[Any, msgspec.Meta(extra_json_schema=schema)]
        self.result = result
        self._validator = validator(schema) if schema else None  # `{}` takes anything

    def decode(self, data: bytes | str | msgspec.Raw) -> Any:
        """Validate JSON ``data`` by the schema; raise msgspec.ValidationError or msgspec.DecodeError.

        Nothing is returned to keep: whoever runs the task decodes its data itself.
        """
        value = msgspec.json.decode(data)
        if self._validator is None or self._validator.is_valid(value):
            return
        error = next(self._validator.iter_errors(value))
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
        raise msgspec.ValidationError(f"{error.message} - at `${path}`" if path else error.message)


def validator(schema: dict[str, Any]) -> Any:
    """Return what validates values by a JSON Schema. References go within the schema; nothing is fetched.

    Raises:
        SchemaFlaw: it is no JSON Schema.
        SupervisorError: the library is not installed; the text says how to install it.
    """
    library = _library()
    try:
        return library.validator_for(schema, offline=True)
    except (ValueError, TypeError) as error:  # the library's own errors are ValueErrors
        raise SchemaFlaw(str(error).partition("\n")[0]) from None


def _library() -> ModuleType:
    try:
        return importlib.import_module("jsonschema_rs")
    except ModuleNotFoundError:
        raise SupervisorError(
            'an action with a JSON Schema takes `jsonschema_rs`: pip install "taskmill[schema]"'
        ) from None
