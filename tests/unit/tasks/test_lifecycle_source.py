"""The status of a task is changed by steps alone: nothing else in the source writes that column."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "src" / "taskmill"
FILES = sorted(SOURCE.rglob("*.py"))
STEPS = "tasks/rows/steps.py"  # has the one function that may
CLAIMS = "tasks/rows/sharing.py"  # who has a task in hand
BIRTHS = {"tasks/rows/statements.py"}  # a new row has a status; a step changes it


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(node: ast.expr) -> str:
    """Return the last name of a chain: `update` of `update(task)`, `values` of `update(task).values(…)`."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def root_of(node: ast.expr) -> str:
    """Return the call that a chain begins with: `update` of `update(task).values(…).where(…)`."""
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id
        node = node.func if isinstance(node, ast.Call) else node.value
    return name_of(node)


def writes_status(call: ast.Call) -> bool:
    """Whether a call is `….values(status=…)`, by a keyword, a mapping, or one that cannot be seen through."""
    if name_of(call) != "values" or root_of(call) != "update":
        return False
    for keyword in call.keywords:
        if keyword.arg == "status":
            return True
    return any("status" in ast.unparse(argument) for argument in call.args)


def status_writers(text: str) -> list[str]:
    """Return the functions, or "" for the module itself, that write a status by an UPDATE."""
    tree = ast.parse(text)
    found = []
    inside = {
        id(call): function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in calls(function)
    }
    for call in calls(tree):
        if writes_status(call):
            found.append(inside.get(id(call), ""))
    return found


def raw_sql(text: str) -> list[str]:
    """Return the strings that are SQL which changes tasks."""
    constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    squeezed = [" ".join(one.lower().split()) for one in constants if isinstance(one, str)]
    return [one for one in squeezed if re.search(r"\bupdate task set|\breplace into task\b", one)]


def test_the_scan_sees_what_it_looks_for() -> None:
    assert status_writers("X = update(task).values(status=1).where(a == b)") == [""]
    assert status_writers("def f():\n    return update(task).where(a).values({'status': 1, 'b': 2})") == ["f"]
    assert status_writers("update(task).values({task.c.status: 1})") == [""]
    assert status_writers("insert(task).values(status=1); update(task).values(data=1)") == []
    assert raw_sql("x = '''UPDATE  task\n SET status = 1'''") == ["update task set status = 1"]


def test_only_a_step_writes_the_status_of_a_task() -> None:
    writers = {
        str(path.relative_to(SOURCE)): found for path in FILES if (found := status_writers(path.read_text()))
    }
    assert writers == {STEPS: ["step"]}


def test_no_sql_in_strings_changes_a_task() -> None:
    assert [path for path in FILES if raw_sql(path.read_text())] == []


def test_only_steps_and_the_schema_s_own_statements_change_tasks_at_all() -> None:
    """An UPDATE or INSERT of the table is made in three files, so those are the ones to read."""
    makers = set()
    for path in FILES:
        for call in calls(ast.parse(path.read_text())):
            first = call.args[0] if call.args else None
            if (
                name_of(call.func) in ("update", "insert")
                and isinstance(first, ast.Name)
                and first.id == "task"
            ):
                makers.add(str(path.relative_to(SOURCE)))
    assert makers == {STEPS, CLAIMS} | BIRTHS
