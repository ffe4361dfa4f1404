"""What a node does: take tasks in over HTTP, run them, or both. The rest of its entries is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from taskmill.cli.only import Only
from taskmill.http import HttpEndpoint, HttpService
from taskmill.queue import Consumer
from taskmill.tasks.service import TaskService

if TYPE_CHECKING:
    from taskmill.registry import Registry

PROBES: Final = ("/healthz", "/readyz", "/metrics", "/nodes")  # what a node without the API still answers


def asked(registry: Registry, only: Only | None) -> list[str]:
    """Return the overrides by which each task queue of an application does only one thing."""
    return [] if only is None else [f"{id_}:only={only.value}" for id_ in _services(registry)]


def left_out(registry: Registry, probes: bool) -> list[str]:
    """Return the overrides that leave out what the task queues of an application do not do here.

    ``probes`` says that a server was asked for where none takes tasks in: it answers probes, and nothing else.
    """
    return [f"{id_}:lifecycle.auto_start=false" for id_ in _left_out(registry, probes)]


def _left_out(registry: Registry, probes: bool) -> Iterator[str]:
    services = _services(registry)
    roles = {registry.entries[id_].config.only for id_ in services}
    idle = {
        queue
        for id_ in services
        if registry.entries[id_].config.only == Only.HTTP
        for queue in (registry.entries[id_].config.queue, *registry.entries[id_].config.queues)
    }
    only_workers = roles == {Only.WORKERS}
    for entry in registry.entries.values():
        if entry.kind == Consumer.kind and idle.intersection([entry.config.queue, *entry.config.queues]):
            yield entry.id
        if entry.kind == HttpService.kind and only_workers and not probes:
            yield entry.id
        if entry.kind == HttpEndpoint.kind and only_workers and entry.config.path not in PROBES:
            yield entry.id


def _services(registry: Registry) -> list[str]:
    return [entry.id for entry in registry.entries.values() if entry.kind == TaskService.kind]
