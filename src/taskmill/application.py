"""An application: a registry and the kinds that it may declare, loaded and supervised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from taskmill.http import HttpEndpoint, HttpRouter, HttpService
from taskmill.http.auth.keys import ApiKeys
from taskmill.http.auth.tokens import JwtTokens
from taskmill.http.middleware.compression import Compression
from taskmill.http.middleware.cors import Cors
from taskmill.http.middleware.headers import Headers
from taskmill.http.middleware.proxies import Proxies
from taskmill.http.middleware.rate_limit import RateLimit
from taskmill.http.middleware.request_id import RequestId
from taskmill.process.function import PythonFunction
from taskmill.process.host import ProcessHost
from taskmill.process.python_process import PythonProcess
from taskmill.process.service import ProcessService
from taskmill.queue import (
    AmqpDriver,
    Consumer,
    MemoryDriver,
    NatsDriver,
    PostgresQueueDriver,
    Queue,
    RedisDriver,
)
from taskmill.registry import Registry, load
from taskmill.sql import MysqlDatabase, PostgresDatabase, SqliteDatabase
from taskmill.supervisor import Component, Supervisor
from taskmill.tasks.callback.kind import TaskWebhooks
from taskmill.tasks.external.kind import TaskAction
from taskmill.tasks.move.kind import TaskMove
from taskmill.tasks.outbox.kind import TaskOutbox
from taskmill.tasks.push.kind import TaskPush
from taskmill.tasks.schedules.kind import TaskSchedule
from taskmill.tasks.service import TaskService
from taskmill.tasks.tracing.kind import Otel
from taskmill.tasks.usage.kind import TaskUsage

# Every kind there is. A new one is a class, and a line here.
KINDS: Final[Mapping[str, type[Component]]] = {
    kind.kind: kind
    for kind in (
        SqliteDatabase,
        PostgresDatabase,
        MysqlDatabase,
        MemoryDriver,
        NatsDriver,
        RedisDriver,
        AmqpDriver,
        PostgresQueueDriver,
        Queue,
        Consumer,
        HttpService,
        HttpRouter,
        HttpEndpoint,
        ApiKeys,
        JwtTokens,
        Proxies,
        RequestId,
        Headers,
        Cors,
        RateLimit,
        Compression,
        ProcessHost,
        PythonProcess,
        ProcessService,
        PythonFunction,
        TaskService,
        TaskSchedule,
        TaskAction,
        TaskPush,
        TaskWebhooks,
        TaskOutbox,
        TaskMove,
        TaskUsage,
        Otel,
    )
}

BUILTIN: Final = Path(__file__).parent / "builtin"


def find(directory: Path) -> Path:
    """Return the directory, or that of the built-in application where none stands in the current one."""
    return BUILTIN if directory == Path() and not Path("_index.yaml").is_file() else directory


def read(directory: Path, overrides: Sequence[str] = ()) -> Registry:
    """Load and validate an application's registry; raise RegistryError with every mistake in it."""
    return load(directory, KINDS, overrides)


def warnings(registry: Registry) -> Iterator[str]:
    """Tell what is allowed and yet unwise: a kind may have a class method `warnings(entry)` for that."""
    for entry in registry.entries.values():
        yield from getattr(KINDS[entry.kind], "warnings", lambda _: ())(entry)


def supervise(registry: Registry, data: Path, legacy: Mapping[str, object] | None = None) -> Supervisor:
    """Return what will run the application, with its state under ``data``.

    ``legacy`` is what a run before this one in the same process has left for its parts, by their ids.
    """
    return Supervisor(registry, KINDS, data, legacy)
