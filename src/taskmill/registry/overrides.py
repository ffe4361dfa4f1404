"""`-o app:db:file=:memory:` on the command line: a field of an entry, given another value."""

from collections.abc import Callable, Mapping, Sequence

from taskmill.registry.environment import is_text
from taskmill.registry.problems import COMMAND_LINE, Problem, nearest_id
from taskmill.registry.yaml_tree import Node, plain_value


def apply(overrides: Sequence[str], entries: Mapping[str, Node], report: Callable[[Problem], None]) -> None:
    """Put each override into the tree of its entry. `report` is called with what is wrong."""
    for text in overrides:
        place, equals, value = text.partition("=")
        parts = place.split(":")
        complete = equals and len(parts) == 3 and all(parts[:2]) and all(parts[2].split("."))
        if not complete or not is_text(text):
            message = f"`{text}` is no override: write NAMESPACE:ENTRY:FIELD=VALUE"
            report(Problem(COMMAND_LINE, 0, None, None, message))
            continue
        entry, field = f"{parts[0]}:{parts[1]}", parts[2]
        node = entries.get(entry)
        if node is None:
            message = f"no entry `{entry}` to override"
            report(Problem(COMMAND_LINE, 0, None, None, message, nearest_id(entry, entries)))
        elif field == "name":
            report(Problem(COMMAND_LINE, 0, entry, field, "a name cannot be overridden"))
        elif not _put(node, field.split("."), value):
            report(Problem(COMMAND_LINE, 0, entry, field, "leads into a value that has no fields"))


def _put(node: Node, path: list[str], text: str) -> bool:
    *parents, last = path
    for key in parents:
        if not isinstance(node.value, dict):
            return False
        node = node.value.setdefault(key, Node({}, 0))
    if not isinstance(node.value, dict):
        return False
    node.value[last] = Node(plain_value(text), 0, plain=True, text=text)
    return True
