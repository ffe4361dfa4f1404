"""``http.service``: an HTTP server, with the limits that keep a hostile client harmless."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from ipaddress import ip_address
from typing import Annotated, Any, ClassVar, cast

import uvicorn
from msgspec import Meta, Struct, field

from taskmill.http.access import logged, logged_app
from taskmill.http.asgi import asgi
from taskmill.http.connection import Connection
from taskmill.http.exchange import Exchange
from taskmill.http.figures import Figures, Given
from taskmill.http.heads import Heads
from taskmill.http.listening import descriptors, listen
from taskmill.http.operation import Served
from taskmill.http.routing import MethodTable, Route
from taskmill.http.streaming import StreamPaths
from taskmill.http.tls import Tls, TlsFiles
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context, SupervisorError
from taskmill.units import Duration, Size

logger = logging.getLogger(__name__)

LAST_PARAMETER = re.compile(r"([^{}]*/)\{(\w+)\}")  # a path whose last part is its one parameter
FRESH = 0.1  # seconds in which one who has connected sends the first request
SPARE_DESCRIPTORS = 64  # for databases, pipes and logs: a flood of clients must not take them


class Limits(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a client may send and hold."""

    body: Annotated[Size, Meta(description="The longest body; beyond it 413.")] = Size(2**20)
    headers: Annotated[Size, Meta(description="The longest head of a request; beyond it 431.")] = Size(2**16)
    header_count: Annotated[int, Meta(ge=1, description="The most headers; beyond it 431.")] = 100
    connections: Annotated[int, Meta(ge=1, description="The most connections at once.")] = 20_000


class Timeouts(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How long a client may take."""

    request: Annotated[
        Duration, Meta(description="To send a whole request, from connecting or its first byte.")
    ] = Duration(30)
    keep_alive: Annotated[Duration, Meta(description="To send the next request.")] = Duration(75)
    answer: Annotated[
        Duration, Meta(description="To read on, once the answers it has not read fill the buffers.")
    ] = Duration(30)


class ServiceConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """An HTTP/1.1 server."""

    addr: Annotated[
        str, Meta(pattern=r"^(\S+|\[\S+\]):\d{1,5}$", description="`host:port`; port 0 takes a free one.")
    ]
    limits: Annotated[Limits, Meta(description="What a client may send and hold.")] = Limits()
    timeouts: Annotated[Timeouts, Meta(description="How long a client may take.")] = Timeouts()
    tls: Annotated[Tls | None, Meta(description="How connections are secured. `null`: they are not.")] = None
    hosts: Annotated[
        list[Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^\s:/]+)$")]],
        Meta(
            description="The names that requests may have in their `Host`, such as `tasks.example` or `localhost`; "
            "others get 421. Empty: any."
        ),
    ] = field(default_factory=list)
    access_log: Annotated[
        bool,
        Meta(
            description="Log each request with `method`, `path`, `status`, `duration` in seconds, `client`, `caller` "
            "and `request`, its id."
        ),
    ] = False
    insecure: Annotated[
        bool,
        Meta(
            description="Listen beyond this machine although routers let anybody in, such as where a proxy before it "
            "does not. `taskmill run --insecure` sets it."
        ),
    ] = False


class HttpService:
    """A server. Routers attach themselves to it; it listens once they all have."""

    kind: ClassVar[str] = "http.service"
    Config: ClassVar[type[EntryConfig]] = ServiceConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        config: ServiceConfig = entry.config
        self.id = entry.id
        self.limits = config.limits
        self.timeouts = config.timeouts
        self.max_connections = config.limits.connections
        self.direct: dict[tuple[bytes, bytes], Callable[[Exchange], None]] = {}
        self._direct_at: dict[tuple[bytes, bytes], tuple[str, Callable[[Exchange], None]]] = {}
        self._streams = StreamPaths()
        self.heads = Heads()
        self.figures = Figures()
        self._body_limits: dict[tuple[bytes, bytes], float] = {}
        self.date = b""  # as a header value; this and the next are kept fresh by the sweep
        self.now = time.monotonic()
        self.port = 0  # known once it listens
        self._config = config
        self._context = context
        self._paths: dict[str, MethodTable] = {}
        self._served: list[Served] = []
        self._unguarded: list[str] = []  # paths
        self._listening: socket.socket | None = None
        self._handed_over = False
        self._server: uvicorn.Server | None = None
        self._starting: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.hosts = frozenset(host.lower().encode() for host in config.hosts)
        self.origins: frozenset[bytes] = frozenset()  # of pages that may change something
        self._directory = entry.directory
        self._tls: TlsFiles | None = None
        self.closing = asyncio.Event()  # for handlers that wait for long: it stops

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find a port that there cannot be: the system would quietly take another."""
        port = int(entry.config.addr.rpartition(":")[2])
        if port > 65_535:
            yield Mistake("addr", f"port {port} is above 65535")

    def route(self, route: Route) -> None:
        """Serve a path."""
        table = self._paths.setdefault(route.path, MethodTable(route.path))
        if route.method in table.handlers:
            raise SupervisorError(f"`{route.method} {route.path}` is served by two endpoints")
        table.handlers[route.method] = route.handler
        if route.function is not None:
            scope = route.scope if route.guarded else None
            self._served.append(Served(route.id, route.method, route.path, route.function, scope))
        if not route.guarded and route.scope != "public":
            self._unguarded.append(route.path)
        place = route.method.encode(), route.path.encode()
        if self._config.access_log and route.direct is not None:
            route = route._replace(direct=logged(route, route.direct))
        direct = None if route.direct is None else self.figures.own(route.direct, route.method, route.path)
        if direct is not None and route.streams:
            self._streams.add(place[0], route.path, direct)
        elif direct is not None and "{" not in route.path:
            self.direct[place] = direct
        elif direct is not None and (parameter := LAST_PARAMETER.fullmatch(route.path)):
            self._direct_at[place[0], parameter[1].encode()] = parameter[2], direct
        if route.max_body is not None:
            self._body_limits[place] = route.max_body or math.inf

    def direct_at(self, method: bytes, url: bytes) -> Callable[[Exchange], None] | None:
        """Return what answers a url directly that has a parameter, or is a stream; None where it is neither."""
        path, _, query = url.partition(b"?")
        parent, slash, last = path.rpartition(b"/")
        found = self._direct_at.get((method, parent + slash))
        if found is None:
            return self._streams.find(method, path, query)
        if not last or b"%" in path or not path.isascii() or path.decode() in self._paths:
            return None
        name, handler = found
        return Given(handler, {name: last.decode()}, query)

    def body_limit(self, method: bytes, url: bytes) -> float:
        """Return how many bytes the body of a request may have."""
        return self._body_limits.get((method, url.partition(b"?")[0]), self.limits.body)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.server_state.connections) if self._server else 0

    async def start(self) -> None:
        """Listen. Raises SupervisorError where the address is taken or not of this machine."""
        self.max_connections = min(self.max_connections, descriptors() - SPARE_DESCRIPTORS)
        app = asgi(self._paths)
        app.state.served = self._served
        app.state.closing = self.closing
        served = logged_app(app) if self._config.access_log else app
        protocol = type("ServiceConnection", (Connection,), {"service": self})
        config = uvicorn.Config(
            self.figures.timed(served), http=protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False,
            date_header=True, proxy_headers=False, backlog=2048,
            ssl_context_factory=self._secure(),
            # What is left of the time allowed is for cutting off who does not read his answer.
            timeout_graceful_shutdown=int(self._config.lifecycle.stop_timeout * 0.8),
        )  # fmt: skip
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        listening = self._inherited() or listen(self._config.addr)
        self._check_open(listening)
        self._listening = listening
        self.port = listening.getsockname()[1]
        await self._tick(server)
        # It goes on where this call is cancelled, so that `stop` finds it listening and can end that.
        self._starting = asyncio.create_task(server.startup([listening]))
        self._sweeper = asyncio.create_task(self._sweep(server), name=f"{self.id} sweep")
        self._server = server
        await asyncio.shield(self._starting)

    def hand_over(self) -> socket.socket:
        """Return the socket that it listens on, for a server that starts once this one has stopped.

        Who connects in between waits in the system's queue. What has been asked is answered, but nobody waits for
        what takes long.
        """
        if self._server is None or self._listening is None:
            raise SupervisorError(f"{self.id} does not listen")
        self._server.config.timeout_graceful_shutdown = 1
        self._handed_over = True
        return self._listening.dup()

    async def stop(self) -> None:
        """Stop listening, answer what has been asked, close."""
        server, self._server = self._server, None
        self.closing.set()
        if server is None or self._sweeper is None or self._starting is None:
            return
        await self._starting
        if self._handed_over:
            await _hear_out(server)
        await server.shutdown()
        self._sweeper.cancel()
        for connection in list(server.server_state.connections):
            connection.transport.abort()

    def _secure(self) -> Callable[..., ssl.SSLContext] | None:
        """Return what makes the context of connections; None where they are not secured."""
        if self._config.tls is None:
            return None
        self._tls = tls = TlsFiles(self._config.tls, self._directory)
        return lambda *_: tls.context

    def _check_open(self, listening: socket.socket) -> None:
        """Refuse to serve the network what anybody may ask for, unless that is wanted."""
        host = listening.getsockname()[0]
        if not self._unguarded or ip_address(host.partition("%")[0]).is_loopback:
            return
        if not self._config.insecure:
            listening.close()
            raise SupervisorError(
                f"{self._config.addr} can be reached from other machines, and {self._unguarded[0]} takes anyone: name "
                "an `http.auth.keys` entry in the router's `middleware`, or say `--insecure`"
            )
        logger.warning("%s: whoever reaches %s may do anything", self.id, self._config.addr)

    def _inherited(self) -> socket.socket | None:
        """Return the socket of the server before this one in the same process, if it has handed it over."""
        listening = self._context.inherited(self.id)
        return listening if isinstance(listening, socket.socket) else None

    async def _sweep(self, server: uvicorn.Server) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.timeouts.request / 4))
            await self._tick(server)
            for connection in list(server.server_state.connections):
                cast(Connection, connection).expire(self.now)

    async def _tick(self, server: uvicorn.Server) -> None:
        if self._tls is not None:
            self._tls.refresh()
        self.now = time.monotonic()
        self.date = formatdate(usegmt=True).encode()
        await server.on_tick(0)  # uvicorn's own Date header


async def _hear_out(server: uvicorn.Server) -> None:
    """Take no more connections, and let those that have just come say what they came for."""
    for listening in server.servers:
        listening.close()
    await asyncio.sleep(0)  # those that are being taken
    deadline = time.monotonic() + FRESH
    while time.monotonic() < deadline:
        connections = cast("set[Connection]", server.server_state.connections)
        if not any(one.cycle is None for one in connections):
            return
        await asyncio.sleep(FRESH / 10)
