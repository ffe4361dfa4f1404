"""Loads a registry: all files, all checks, all mistakes at once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from taskmill.registry import overrides as command_line
from taskmill.registry.conversion import BAD, Converter, Report, shown
from taskmill.registry.describe import rule_name
from taskmill.registry.entry import Entry, KindSpec, Reference
from taskmill.registry.environment import substitute
from taskmill.registry.files import INDEX, Draft, index_files, read_file
from taskmill.registry.graph import Registry, find_cycles, start_edges
from taskmill.registry.problems import COMMAND_LINE, Problem, RegistryError, nearest, nearest_id
from taskmill.units import dec_hook

MAX_ENTRIES: Final = 10_000
MAX_HINTS: Final = 100  # looking for the nearest of many names is slow


def load(
    directory: Path,
    kinds: Mapping[str, KindSpec],
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Registry:
    """Return what the index files in `directory` and below declare; raise RegistryError with every mistake.

    `overrides` are texts such as `app:db:file=:memory:`, and win over the files.
    """
    loader = _Loader(directory, kinds, environ)
    loader.read_files()
    command_line.apply(overrides, {id_: draft.node for id_, draft in loader.drafts.items()}, loader.report)
    for draft in loader.drafts.values():
        loader.read_entry(draft)
    loader.check_references()
    loader.check_order()
    loader.check_kinds()
    if loader.problems:
        raise RegistryError(loader.problems)
    return Registry(directory.resolve(), loader.entries)


class _Loader:
    def __init__(self, directory: Path, kinds: Mapping[str, KindSpec], environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.drafts: dict[str, Draft] = {}
        self.entries: dict[str, Entry[Any]] = {}
        self._directory = directory
        self._kinds = kinds
        self._environ = environ
        self._all_read = True
        self._kind_of: dict[str, str] = {}
        self._converters: dict[str, Converter] = {}
        self._secrets: dict[str, dict[str, str]] = {}  # by entry: what the environment gave -> the expression

    def report(self, problem: Problem) -> None:
        self.problems.append(problem)

    def read_files(self) -> None:
        """Collect the entries of all files."""
        files = index_files(self._directory)
        if not files:
            self.report(Problem(str(self._directory), 0, None, None, f"no `{INDEX}` in it or below"))
        for path in files:
            drafts = read_file(path, self.report)
            self._all_read = self._all_read and drafts is not None
            for draft in drafts or ():
                first = self.drafts.setdefault(draft.id, draft)
                if first is not draft:
                    message = f"declared before, at {first.file}:{first.node.line}"
                    self._complain(draft, None, draft.node.line, message)
        if len(self.drafts) > MAX_ENTRIES:
            message = f"{len(self.drafts):,} entries, and no more than {MAX_ENTRIES:,} are read"
            raise RegistryError([Problem(str(self._directory), 0, None, None, message)])

    def read_entry(self, draft: Draft) -> None:
        """Convert one entry by the struct of its kind."""

        def report(field: str | None, line: int, message: str, hint: str | None = None) -> None:
            self._complain(draft, field, line, message, hint)

        before = len(self.problems)
        self._secrets[draft.id] = _prepare(draft, self._environ, report)
        converter = self._converters[draft.id] = Converter(draft.namespace, report)
        spec = self._spec(draft, report)
        if spec is None:
            return
        self._kind_of[draft.id] = spec.kind
        meta = draft.fields.get("meta")
        if meta is not None and not isinstance(meta.value, dict):
            report("meta", meta.line, f"expected mapping, got {shown(meta)}")
            return
        values = converter.read(draft.node, spec.Config)
        if values is BAD or len(self.problems) > before:
            return
        self.entries[draft.id] = Entry(
            id=draft.id,
            kind=spec.kind,
            config=msgspec.convert(values, spec.Config, dec_hook=dec_hook),
            file=draft.file,
            line=draft.node.line,
            directory=draft.file.parent.resolve(),
            references=tuple(converter.references),
            lines=converter.lines,
        )

    def check_references(self) -> None:
        """Report each reference to an entry that is not there or of the wrong kind."""
        for id_, converter in self._converters.items():
            for reference in converter.references:
                origin = converter.origins.get(reference.field)
                target = f"what `{origin}` gives" if origin else f"`{reference.target}`"
                kind = self._kind_of.get(reference.target)
                hint = None
                if reference.target not in self.drafts:
                    if not self._all_read:
                        continue  # it may well stand in the file that could not be read
                    message = f"no entry is named {target}"
                    hint = None if origin else self._nearest_entry(reference)
                elif kind is not None and not reference.rule.allows(kind):
                    message = f"{target} is a `{kind}`, expected {rule_name(reference.rule)}"
                else:
                    continue
                line = converter.lines[reference.field]
                self._complain(self.drafts[id_], reference.field, line, message, hint)

    def check_order(self) -> None:
        """Report circles of entries that wait for one another."""
        # A reference of the wrong kind has been reported; the circle it may close is no second mistake.
        right = {
            id_: [
                found
                for found in converter.references
                if found.rule.allows(self._kind_of.get(found.target, ""))
            ]
            for id_, converter in self._converters.items()
        }
        for cycle in find_cycles(start_edges(right)):
            draft = self.drafts[cycle[0]]
            self._complain(draft, None, draft.node.line, f"waits for itself: {' -> '.join(cycle)}")

    def check_kinds(self) -> None:
        """Let each kind check what types cannot say."""
        for id_, entry in self.entries.items():
            check = getattr(self._kinds[entry.kind], "check", None)
            for mistake in check(entry) if check is not None else ():
                line = entry.lines.get(mistake.field, entry.line)
                self._complain(self.drafts[id_], mistake.field, line, mistake.message, mistake.hint)

    def _spec(self, draft: Draft, report: Report) -> KindSpec | None:
        node = draft.fields.get("kind")
        if node is None:
            report("kind", draft.node.line, "missing")
        elif not isinstance(node.value, str):
            report("kind", node.line, f"expected text, got {shown(node)}")
        elif node.value not in self._kinds:
            message = f"no kind is {shown(node)}" if node.origin else f"unknown kind `{node.value}`"
            report("kind", node.line, message, None if node.origin else nearest(node.value, self._kinds))
        else:
            return self._kinds[node.value]
        return None

    def _nearest_entry(self, reference: Reference) -> str | None:
        if len(self.problems) >= MAX_HINTS:
            return None
        fitting = [id_ for id_, kind in self._kind_of.items() if reference.rule.allows(kind)]
        return nearest_id(reference.target, fitting) or nearest_id(reference.target, self.drafts)

    def _complain(
        self, draft: Draft, field: str | None, line: int, message: str, hint: str | None = None
    ) -> None:
        for secret, expression in self._secrets.get(draft.id, {}).items():
            message = message.replace(secret, expression)
            hint = None if hint and secret in hint else hint
        file = str(draft.file) if line else COMMAND_LINE
        self.report(Problem(file, line, draft.id, field, message, hint))


def _prepare(draft: Draft, environ: Mapping[str, str], report: Report) -> dict[str, str]:
    """Put in what the environment gives, report keys given twice, and return the texts not to be shown."""
    secrets = {}
    pending = [("", draft.node)]
    while pending:
        path, node = pending.pop()
        for message in substitute(node, environ):
            report(path, node.line, message)
        # Short texts are no secrets, and blotting them out would spoil the messages.
        if node.origin is not None and node.text is not None and len(node.text) >= 4:
            secrets[node.text] = node.origin
        prefix = f"{path}." if path else ""
        for key, line in node.duplicates:
            report(prefix + key, line, "given twice")
        if isinstance(node.value, dict):
            pending += [(prefix + key, child) for key, child in node.value.items()]
        elif isinstance(node.value, list):
            pending += [(f"{path}[{index}]", child) for index, child in enumerate(node.value)]
    return secrets
