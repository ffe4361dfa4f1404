"""What the commands that look into a database beside its server share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from taskmill.cli.root import wrong

if TYPE_CHECKING:
    from taskmill.registry import Entry, Registry
    from taskmill.sql import Database
    from taskmill.tasks.actions.catalog import Catalog
    from taskmill.tasks.sealing.keys import Keyring

DEFAULT = Path("data")


def service_of(registry: Registry) -> Entry[Any]:
    """Return the entry of the task queue; end the command where there is none, or more than one."""
    found = [entry for entry in registry.entries.values() if entry.kind == "task.service"]
    if len(found) != 1:
        wrong(f"the application has {len(found)} entries of the kind `task.service`, and this takes one")
    return found[0]


def catalog_of(registry: Registry) -> Catalog:
    """Return the actions of the application; end the command where one cannot be loaded."""
    from taskmill.process.source import SourceError  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.supervisor import SupervisorError  # noqa: PLC0415
    from taskmill.tasks.actions.catalog import Catalog  # noqa: PLC0415
    from taskmill.tasks.external.kind import declared_of  # noqa: PLC0415

    service = service_of(registry)
    catalog = Catalog()
    try:
        catalog.load(service.config.actions, service.directory)
        catalog.declare(declared_of(registry.entries.values(), service.id))
    except (SourceError, SupervisorError) as error:
        wrong(str(error))
    return catalog


def database_of(registry: Registry, data: Path) -> Database:
    """Return the database of the task queue, not started."""
    from taskmill.application import KINDS  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.sql import Database  # noqa: PLC0415
    from taskmill.supervisor import Context  # noqa: PLC0415

    entry = registry.entries[service_of(registry).config.database]
    context = Context({}, _fail, data_dir=data, app_dir=registry.directory)
    database = KINDS[entry.kind](entry, context)
    assert isinstance(database, Database)  # noqa: S101 - the registry has seen to it
    return database


def keyring_of(registry: Registry) -> Keyring | None:
    """Return the keys that the task queue encrypts with, if it does."""
    from taskmill.tasks.sealing.keys import Keyring  # noqa: PLC0415 - slow to import, and not for every command

    declared = service_of(registry).config.encrypt
    return None if declared is None else Keyring.of(declared.keys)


def check_encrypted(registry: Registry) -> None:
    """End the command where an application encrypts, and an action declares what does not go with that."""
    from taskmill.sql import DatabaseError  # noqa: PLC0415 - slow to import, and not for every command
    from taskmill.tasks.sealing.guard import refuse_index  # noqa: PLC0415

    if not any(entry.kind == "task.service" and entry.config.encrypt for entry in registry.entries.values()):
        return
    try:
        refuse_index(catalog_of(registry).actions())
    except DatabaseError as error:
        wrong(str(error))


def _fail(part: str, error: BaseException) -> NoReturn:
    raise AssertionError(part) from error
