"""The page on security is true: each threat has a test that there is, and keys are compared as it says."""

import ast
import inspect
import re
from pathlib import Path

from taskmill.http.auth import keys

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?!threat|---)(.+) \| (.+) \| `(tests/\S+\.py)::(\w+)` \|$", re.M)


def test_each_threat_has_a_test_that_there_is() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = ROW.findall(page)
    assert len(rows) > 25
    assert (
        len(rows) == sum(line.startswith("| ") for line in page.splitlines()) - 2
    )  # its head, and what is below
    for _, _, file, name in rows:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{file}::{name}"
        )


def test_each_exception_from_a_security_rule_says_why() -> None:
    excepted = re.compile(r"# noqa: [A-Z0-9, ]*\bS[0-9]+[A-Z0-9, ]*(.*)$", re.M)
    files = list((ROOT / "src").rglob("*.py"))
    whys = [match[1] for file in files for match in excepted.finditer(file.read_text())]
    assert len(whys) > 30
    assert all(re.match(r"- \S", why) for why in whys), whys


def test_keys_are_compared_in_constant_time() -> None:
    tree = ast.parse(inspect.getsource(keys))
    (meet,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "meet"]
    calls = [ast.unparse(node.func) for node in ast.walk(meet) if isinstance(node, ast.Call)]
    assert calls.count("hmac.compare_digest") == 1
    compared = [ast.unparse(node) for node in ast.walk(meet) if isinstance(node, ast.Compare)]
    assert not any("hash" in text or "digest" in text for text in compared)
