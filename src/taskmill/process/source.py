"""Loading the Python function that `source` and `method` name.

`file://x.py` is relative to the entry's directory; anything else is a module's dotted name. The directory is
put at the end of `sys.path`: an application's files can import one another, but hide no installed package.
"""

import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any
from zlib import crc32

FILE_SCHEME = "file://"


class SourceError(Exception):
    """A source that cannot be loaded; the text says which, where and why."""


def load_attribute(source: str, method: str, directory: Path | None) -> Any:
    """Return what `method` names in `source`; raise SourceError."""
    module = load_module(source, directory)
    try:
        return getattr(module, method)
    except AttributeError:
        from taskmill.registry import nearest  # noqa: PLC0415 - a worker need not load the registry

        near = nearest(method, vars(module))
        hint = f"; did you mean `{near}`?" if near else ""
        raise SourceError(f"source `{source}` ({module.__file__}) has no `{method}`{hint}") from None


def load_module(source: str, directory: Path | None) -> ModuleType:
    """Import a source, or return it if it is imported already; raise SourceError."""
    add_to_path(directory)
    try:
        if source.startswith(FILE_SCHEME):
            return _import_file(file_of(source, directory))
        return import_module(source)
    except SourceError:
        raise
    except (Exception, SystemExit) as error:
        place, reason = _place(error.__traceback__), str(error)
        if isinstance(error, SyntaxError):
            place, reason = f"{error.filename}:{error.lineno}: ", error.msg
        raise SourceError(
            f"source `{source}` cannot be imported: {place}{type(error).__name__}: {reason}"
        ) from error


def add_to_path(directory: Path | None) -> None:
    """Let files of an application's directory be imported by name."""
    if directory is not None and (path := str(directory.resolve())) not in sys.path:
        sys.path.append(path)


def file_of(source: str, directory: Path | None) -> Path:
    """Return the path that a `file://` source stands for."""
    return (directory or Path()).joinpath(source.removeprefix(FILE_SCHEME)).resolve()


def _import_file(path: Path) -> ModuleType:
    if not path.is_file() or path.suffix != ".py":
        raise SourceError(f"source {path} is no Python file: it must exist and end in `.py`")
    # Where a plain import of its name finds this very file, it is imported so: a neighbour that says `import
    # actions` then gets the same module, not a second copy.
    if path.stem.isidentifier():
        with suppress(ValueError):  # a module without a spec, such as __main__
            spec = find_spec(path.stem)
            if spec and spec.origin and Path(spec.origin).resolve() == path:
                return import_module(path.stem)
    name = f"source_{crc32(bytes(path)):08x}_{path.stem}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise SourceError(f"source {path} cannot be read as Python")
        sys.modules[name] = module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[name])
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _place(trace: TracebackType | None) -> str:
    """Return the innermost `file:line: ` of a traceback, leaving out the import system's own."""
    place = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "importlib" not in file and file != __file__:
            place = f"{file}:{trace.tb_lineno}: "
        trace = trace.tb_next
    return place
