"""Checking a source without running it: does the file exist, and does it define the method?"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from taskmill.process.source import FILE_SCHEME, add_to_path, file_of
from taskmill.registry import Mistake, nearest

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def check_source(source: str, method: str | None, directory: Path) -> Iterator[Mistake]:
    """Find what is wrong with a source, and with a method in it where one is named."""
    if source.startswith(FILE_SCHEME):
        path = file_of(source, directory)
        if not path.is_file() or path.suffix != ".py":
            files = (str(file.relative_to(directory)) for file in directory.rglob("*.py"))
            near = nearest(source.removeprefix(FILE_SCHEME), files)
            yield Mistake("source", f"there is no Python file {path}", near and FILE_SCHEME + near)
            return
    else:
        add_to_path(directory)
        try:
            spec = find_spec(source)
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is None:
            yield Mistake("source", f"there is no module `{source}`; a file is written `file://name.py`")
            return
        path = Path(spec.origin or "")
        if path.suffix != ".py":  # a compiled module tells its names only when it is run
            return
    try:
        written = path.stat()
        names = _names_in(path, written.st_mtime_ns, written.st_size)
    except SyntaxError as error:
        yield Mistake("source", f"{path}:{error.lineno}: {error.msg}")
        return
    except (ValueError, RecursionError) as error:
        yield Mistake("source", f"{path} cannot be read as Python: {error}")
        return
    if method is not None and method not in names and not names & {"*", "__getattr__"}:
        yield Mistake("method", f"`{source}` defines no `{method}`", nearest(method, names))


@lru_cache(maxsize=128)  # one file holds the functions of many entries, and is read for each of them
def _names_in(path: Path, _modified: int, _size: int) -> frozenset[str]:
    return frozenset(_names(ast.parse(path.read_bytes()).body))


def _names(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module's statements define; `*` where only running it would tell."""
    for statement in body:
        # The inside of a definition is not the module's; that of an `if` or a `try` is.
        for node in [statement] if isinstance(statement, DEFINITIONS) else ast.walk(statement):
            if isinstance(node, DEFINITIONS):
                yield node.name
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
