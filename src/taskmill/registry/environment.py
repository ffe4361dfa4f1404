"""`${env:NAME}` and `${env:NAME|default}`: values that the environment gives.

They are put in after the YAML is read, so that a variable can never add structure to a file. What they gave
is never shown in a message: it may be a password.
"""

import re
from collections.abc import Mapping

from taskmill.registry.yaml_tree import Node, plain_value

_MARK = "${env:"
_EXPRESSION = re.compile(r"\$\{env:(?:([A-Za-z_][A-Za-z0-9_]*)(?:\|([^}]*))?\})?")


def substitute(node: Node, environ: Mapping[str, str]) -> list[str]:
    """Replace the expressions in a scalar, in place. Return what is wrong with them."""
    text = node.value
    mistakes: list[str] = []
    if not isinstance(text, str) or _MARK not in text:
        return mistakes

    def replaced(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name is None:
            mistakes.append("write it as `${env:NAME}` or `${env:NAME|default}`")
            return ""
        value = environ.get(name, default)
        if value is None:
            mend = f"set it, or write `${{env:{name}|default}}`"
            mistakes.append(f"the environment variable `{name}` is not set: {mend}")
            return ""
        if not is_text(value):
            mistakes.append(f"the environment variable `{name}` is not valid UTF-8")
            return ""
        return value

    node.text = _EXPRESSION.sub(replaced, text)
    node.origin = text
    # Alone in an unquoted scalar, the value means what it would mean if it stood there itself.
    alone = node.plain and _EXPRESSION.fullmatch(text)
    node.value = plain_value(node.text) if alone else node.text
    return mistakes


def is_text(value: str) -> bool:
    """Tell whether a text from the operating system is Unicode (undecodable bytes arrive as surrogates)."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
