"""Before a restart: which of the tasks that wait would not run in the application as it is now, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, case, false, literal_column, select

from taskmill.sql.aside import Aside
from taskmill.tasks.actions.action import Action
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.actions.versions import SCHEMAS, hash_of
from taskmill.tasks.ids import to_text
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.rows.schema import task
from taskmill.tasks.rows.statements import code
from taskmill.tasks.sealing.keys import KeyMissing, Keyring

AT_ONCE = 2_000  # rows
SHOWN = 5  # ids of a trouble
FITTING = 500  # versions at most that are told apart


# Waiting tasks of a state after an id, with their data where it is to be looked at. Parameters: id, limit.
def _waiting(status: Status, fitting: Iterable[int]) -> Select[Any]:
    numbers: list[Any] = [literal_column(str(number)) for number in sorted(fitting)[:FITTING]]
    known = task.c.version.in_(numbers) if numbers else false()
    return (
        select(task.c.id, task.c.action, task.c.version, case((known, None), else_=task.c.data))
        .where(task.c.status == code(status), task.c.id > bindparam("id_"))
        .order_by(task.c.id)
        .limit(bindparam("limit_"))
    )


class Trouble(msgspec.Struct):
    """Tasks of an action that would not run: how many, for what reason, and the first ones."""

    action: str
    why: str
    count: int
    first: list[str]


class Gate(msgspec.Struct):
    """How many tasks wait; how many an ``upgrade`` would mend; and those that would not run."""

    waiting: int
    upgraded: int
    troubles: list[Trouble]


def look(aside: Aside, catalog: Catalog, keyring: Keyring | None = None) -> Gate:
    """Look at every task that waits or runs. What was stored for the schema as it is now is known to fit."""
    hashes = {one.action.name: hash_of(one.action) for one in catalog.registered()}
    fitting = {number for number, action, hash_ in aside.fetch(SCHEMAS, {}) if hashes.get(action) == hash_}
    gate = Gate(0, 0, [])
    troubles: dict[tuple[str, str], Trouble] = {}
    for status in Status:
        if status in ENDED:
            continue
        statement, after = _waiting(status, fitting), b""
        while rows := aside.fetch(statement, {"id_": after, "limit_": AT_ONCE}):
            after = bytes(rows[-1][0])
            gate.waiting += len(rows)
            for id_, action, _version, data in rows:
                why = _trouble(gate, catalog, action, data, keyring)
                if why is None:
                    continue
                found = troubles.setdefault((action, why), Trouble(action, why, 0, []))
                found.count += 1
                if found.count <= SHOWN:
                    found.first.append(to_text(bytes(id_)))
    gate.troubles = sorted(troubles.values(), key=lambda one: -one.count)
    return gate


def _trouble(
    gate: Gate, catalog: Catalog, name: str, data: str | None, keyring: Keyring | None
) -> str | None:
    registered = catalog.find(name)
    if registered is None:
        return "no action of this name"
    if data is None:
        return None
    try:
        return _misfit(gate, registered.action, data if keyring is None else keyring.open(data))
    except KeyMissing as error:
        return str(error)


def _misfit(gate: Gate, action: Action[Any, Any], data: str) -> str | None:
    try:
        action.decode(data)
    except Exception as first:  # of whatever kind: it would fail in the worker as well
        if action.options.upgrade is None:
            return f"its data is not what it takes: {first}"
    else:
        return None
    try:
        action.decode_stored(data)
    except Exception as error:
        return f"its data is not what it takes, and `upgrade` does not mend it: {error}"
    gate.upgraded += 1
    return None
