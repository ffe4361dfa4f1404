"""YAML text to a tree that remembers lines, safely.

Only the plain part of YAML is read: mappings, sequences, scalars. Tags, aliases and merge keys are refused,
and size and depth are bounded, so that no file can run code, eat the memory or exhaust the stack. The tree is
built in one loop over the parser's events; nothing recurses.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

MAX_BYTES: Final = 2**20
MAX_DEPTH: Final = 50
_MAX_DIGITS: Final = 100

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?[0-9]+")
_RADIX = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

Scalar = bool | int | float | str | None
Value = list["Node"] | dict[str, "Node"] | Scalar


@dataclass(slots=True)
class Node:
    """A value, the line it stands on (for a mapping's value: the line of its key), and where it came from."""

    value: Value
    line: int  # 0 is the command line
    plain: bool = False  # a scalar without quotes
    text: str | None = None  # of a value from the environment or the command line, should a text be wanted
    origin: str | None = None  # what the file says, where the environment decides: shown instead of the value
    duplicates: list[tuple[str, int]] = field(default_factory=list)  # keys given again, with their lines


class YamlError(Exception):
    """A file that is not read any further."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def plain_value(text: str) -> Scalar:
    """Return what an unquoted scalar means, by the core rules of YAML 1.2 (`yes` and `off` are texts)."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _RADIX.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
    return text


def parse(raw: bytes) -> Node:
    """Return the tree of the one document in `raw`; raise YamlError where there is none or it is refused."""
    builder = _Builder()
    text = _decoded(raw)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.feed(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "the parser gives no reason"
        # At the end of a text the parser may point behind its last line.
        line = min(mark.line, text.count("\n")) + 1 if mark else 0
        raise YamlError(f"not valid YAML: {what}", line) from None
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {error}") from None
    if builder.root is None:
        raise YamlError("the file is empty: it needs `namespace` and `entries`", 1)
    return builder.root


def _decoded(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise YamlError("the file is larger than 1 MiB: split it, a namespace may have many files")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError("not valid UTF-8", raw.count(b"\n", 0, error.start) + 1) from None
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise YamlError(f"the character U+{ord(bad[0]):04X} is not allowed in YAML", line)
    return text


class _Builder:
    """Takes the parser's events one by one; the containers still open are a list, not the call stack."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._keys: list[
            tuple[str, int] | None
        ] = []  # of each open container: the key that waits for a value

    def feed(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.AliasEvent():
                raise YamlError(f"aliases (`*{event.anchor}`) are not read: write the value out", line)
            case yaml.ScalarEvent() | yaml.CollectionStartEvent() if event.tag is not None:
                raise YamlError(f"tags (`{event.tag[:60]}`) are not read: remove it", line)
            case yaml.ScalarEvent():
                plain = event.style is None or event.style == ""
                if self._open and isinstance(self._open[-1].value, dict) and self._keys[-1] is None:
                    self._take_key(event.value, plain, line)
                else:
                    value = plain_value(event.value) if plain else event.value
                    self._add(Node(value, line, plain=plain))
            case yaml.MappingStartEvent():
                self._enter(Node({}, line))
            case yaml.SequenceStartEvent():
                self._enter(Node([], line))
            case yaml.CollectionEndEvent():
                self._open.pop()
                self._keys.pop()
            case yaml.DocumentStartEvent() if self.root is not None:
                raise YamlError("a second document begins here: a file holds one", line)

    def _take_key(self, key: str, plain: bool, line: int) -> None:
        if plain and key == "<<":
            raise YamlError("merge keys (`<<`) are not read: write the fields out", line)
        self._keys[-1] = (key, line)

    def _enter(self, node: Node) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise YamlError(f"nested more than {MAX_DEPTH} levels deep", node.line)
        self._add(node)
        self._open.append(node)
        self._keys.append(None)

    def _add(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif isinstance(parent.value, dict):
            waiting = self._keys[-1]
            if waiting is None:
                raise YamlError("a key must be a text", node.line)
            self._keys[-1] = None
            key, node.line = waiting
            if key in parent.value:
                parent.duplicates.append(waiting)
            else:
                parent.value[key] = node
