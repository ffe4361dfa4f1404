"""Finds the `_index.yaml` files of an application and splits them into entries, not yet checked."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskmill.registry.conversion import Report, shown
from taskmill.registry.problems import Problem, nearest
from taskmill.registry.yaml_tree import MAX_BYTES, Node, YamlError, parse

INDEX: Final = "_index.yaml"
SKIPPED: Final = {"venv", "node_modules", "__pycache__", "data"}
_FIELDS: Final = ("version", "namespace", "entries")
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry as it stands in its file."""

    namespace: str
    name: str
    file: Path
    node: Node
    fields: dict[str, Node]  # of the node

    @property
    def id(self) -> str:
        """The entry's whole id."""
        return f"{self.namespace}:{self.name}"


def index_files(directory: Path) -> list[Path]:
    """Return the index files in `directory` and below, in a fixed order. Linked folders are not followed."""
    found = []
    for folder, subfolders, names in os.walk(directory):
        subfolders[:] = sorted(
            name for name in subfolders if not name.startswith(".") and name not in SKIPPED
        )
        if INDEX in names:
            found.append(Path(folder, INDEX))
    return found


def read_file(path: Path, report: Callable[[Problem], None]) -> list[Draft] | None:
    """Return the entries in one file, or None if its text cannot be read. `report` takes what is wrong."""

    def complain(field: str | None, line: int, message: str, hint: str | None = None) -> None:
        report(Problem(str(path), line, None, field, message, hint))

    try:
        root = parse(_contents(path))
    except YamlError as error:
        complain(None, error.line, error.message)
        return None
    if not isinstance(root.value, dict):
        complain(None, root.line, f"expected the fields `namespace` and `entries`, got {shown(root)}")
        return None
    for key, line in root.duplicates:
        complain(key, line, "given twice")
    for key, node in root.value.items():
        if key not in _FIELDS:
            complain(key, node.line, "unknown field", nearest(key, _FIELDS))
    version = root.value.get("version")
    if version is not None and version.value not in ("1.0", 1.0):
        complain("version", version.line, f"expected `1.0`, got {shown(version)}")
    namespace = _name(root.value, "namespace", "", root.line, complain)
    drafts = []
    for index, node in enumerate(_entries(root.value, root.line, complain)):
        place = f"entries[{index}]"
        if not isinstance(node.value, dict):
            complain(place, node.line, f"expected an entry with `name` and `kind`, got {shown(node)}")
            continue
        name = _name(node.value, "name", f"{place}.", node.line, complain)
        if namespace is not None and name is not None:
            drafts.append(Draft(namespace, name, path, node, node.value))
    return drafts


def _entries(fields: dict[str, Node], line: int, complain: Report) -> list[Node]:
    found = fields.get("entries")
    if found is None:
        complain("entries", line, "missing")
    elif not isinstance(found.value, list):
        complain("entries", found.line, f"expected list, got {shown(found)}")
    else:
        return found.value
    return []


def _name(fields: dict[str, Node], key: str, prefix: str, line: int, complain: Report) -> str | None:
    found = fields.get(key)
    if found is None:
        complain(prefix + key, line, "missing")
    elif not isinstance(found.value, str) or not _NAME.fullmatch(found.value):
        wanted = "a letter from a to z, then a-z, 0-9, `_`, `.` and `-`"
        complain(prefix + key, found.line, f"{shown(found)} is no name: write {wanted}")
    else:
        return found.value
    return None


def _contents(path: Path) -> bytes:
    if not path.is_file():
        raise YamlError("not a regular file")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror}") from None
