"""Whether tasks can be found by paths in their data now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from taskmill.http import BadRequest, FieldError
from taskmill.registry import nearest
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.finding import statements
from taskmill.tasks.finding.building import DONE, Indexed
from taskmill.tasks.rows.reader import Reader


class Asking:
    """Answers for the filters of data."""

    def __init__(self, reader: Reader, catalog: Catalog) -> None:
        self._reader = reader
        self._catalog = catalog

    async def check(self, data: Mapping[str, object], action: str | None) -> None:
        """Raise BadRequest where tasks, of one action or of all, cannot be found by these paths.

        It is 400 where no action has declared an index of one, 503 while that is being built.
        """
        if not data:
            return
        declared = set(self._declared(action))
        for path in data:
            if path not in {one for _, one in declared}:
                raise _undeclared(path, action, {one for _, one in declared})
        rows = await self._reader.read(statements.INDEXED, {})
        built = {(one.action, one.path) for one in map(Indexed._make, rows) if one.reached == DONE}
        for name, path in declared - built:
            if path in data:
                raise BadRequest(
                    f"The index of `{path}` is being built for the older tasks of {name}: try again in a while.",
                    status=503,
                )

    def _declared(self, action: str | None) -> Iterable[tuple[str, str]]:
        found = None if action is None else self._catalog.find(action)
        actions = self._catalog.actions() if found is None else [found.action]
        return ((one.name, path) for one in actions for path in one.options.index)


def _undeclared(path: str, action: str | None, known: Iterable[str]) -> BadRequest:
    of = "any action" if action is None else action
    near = nearest(path, known)
    hint = f"did you mean `{near}`?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
    return BadRequest(
        f'Filter by what actions have indexed: declare `index=["{path}"]` with the action, or leave it out.',
        [FieldError(path, f"not indexed by {of}; {hint}")],
    )
