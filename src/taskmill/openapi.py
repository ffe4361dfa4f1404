"""The OpenAPI document of an application that does not run: what ``GET /openapi.json`` would answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from taskmill.http import HttpEndpoint, HttpRouter, HttpService, Served, describe_server, scope_of
from taskmill.process.source import load_attribute
from taskmill.registry import Entry, Registry
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.callback.kind import TaskWebhooks
from taskmill.tasks.openapi.api import describe
from taskmill.tasks.service import TaskService


class NoServer(Exception):
    """It cannot be told which server is meant; the text says what to give."""


def describe_application(registry: Registry, server: str | None = None) -> dict[str, Any]:
    """Return the document of one of an application's servers: of the only one, where none is named.

    The application's own modules are imported for it.

    Raises:
        NoServer: there is no such server, or there are several.
        SourceError: a source of functions or actions cannot be imported.
    """
    served = list(_served(registry, _server(registry, server)))
    services = _of_kind(registry, TaskService.kind)
    if not services:
        return describe_server(served)
    catalog = Catalog()
    queues: set[str] = set()
    for service in services:
        catalog.load(service.config.actions, service.directory)
        used = [service.config.queue, *service.config.queues]
        queues.update(registry.entries[queue].config.queue_name for queue in used)
    called_back = bool(_of_kind(registry, TaskWebhooks.kind))
    return describe(served, catalog, sorted(queues), called_back=called_back)


def _server(registry: Registry, wanted: str | None) -> str:
    servers = [entry.id for entry in _of_kind(registry, HttpService.kind)]
    if wanted is None and len(servers) == 1:
        return servers[0]
    if wanted is not None and wanted in servers:
        return wanted
    known = ", ".join(servers) or "none"
    raise NoServer(f"say which server with `--server ENTRY`; there is: {known}")


def _served(registry: Registry, server: str) -> Iterator[Served]:
    for endpoint in _of_kind(registry, HttpEndpoint.kind):
        router = registry.entries[endpoint.config.meta.router]
        if router.kind == HttpRouter.kind and router.config.meta.server == server:
            function = registry.entries[endpoint.config.func]
            loaded = load_attribute(function.config.source, function.config.method, function.directory)
            path = router.config.prefix + endpoint.config.path
            scope = endpoint.config.scope or scope_of(loaded) if _guarded(registry, router) else None
            yield Served(endpoint.id, endpoint.config.method, path, loaded, scope)


def _guarded(registry: Registry, router: Entry[Any]) -> bool:
    named = router.config.middleware
    pieces = [named] if isinstance(named, str) else named
    return any(registry.entries[id_].kind.startswith("http.auth.") for id_ in pieces)


def _of_kind(registry: Registry, kind: str) -> Sequence[Entry[Any]]:
    return [entry for entry in registry.entries.values() if entry.kind == kind]
