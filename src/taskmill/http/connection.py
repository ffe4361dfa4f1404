"""One client's connection: uvicorn's httptools protocol, with the limits it lacks and direct routes.

Added to uvicorn: a deadline for receiving a whole request (each byte of a keep-alive timer resets it, so
that alone stops nobody), limits on the head, a Host header that must be there, and the short way for routes
whose handler is ``direct``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, cast

import httptools

from taskmill.http.holding import HoldingProtocol
from taskmill.http.origin import unwelcome
from taskmill.http.problem import MEDIA_TYPE, problem
from taskmill.http.wire import ConnectionExchange, Flow, response
from taskmill.units import Size

if TYPE_CHECKING:
    from taskmill.http.service import HttpService

CLOSING = 2.0  # seconds for a client to take its last answer
DROPPED = 2**24  # bytes that a client may go on to send meanwhile


class Connection(HoldingProtocol):
    """A connection of an :class:`HttpService`."""

    service: ClassVar[HttpService]  # set by the service on a subclass of its own
    cycle: Any  # uvicorn's RequestResponseCycle or a ConnectionExchange

    def connection_made(self, transport: Any) -> None:
        """Take a new client, or turn it away at once where there are too many."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        # When the request that is being received must be whole, or an idle connection is closed; never
        # while a request is being answered.
        self.deadline = self.service.now + self.service.timeouts.request
        self.unread_until = math.inf
        self.refused = False
        self.refusal = b""  # waits until the requests before the refused one are answered
        self.advancing = False
        self.in_head = True  # of a request, or between two
        self.head_size = 0  # within a body, what came since that is none of it: chunk sizes, trailers
        self.body_size = 0
        self.body_limit: float = self.service.limits.body
        if len(self.connections) > self.service.max_connections:
            self.refuse(503, "The server has as many connections as it may hold; try again in a second.")

    def data_received(self, data: bytes) -> None:
        """Parse what came. Whatever follows a refused request is dropped unread."""
        if self.refused:
            self.head_size += len(data)
            if self.head_size > DROPPED:
                self.transport.abort()
            return
        begins = self.in_head and self.head_size == 0
        if begins:
            if self.service.heads.handle(self, data):
                return
            self.deadline = self.service.now + self.service.timeouts.request
        self.head_size += len(data)
        before = self.cycle
        self._feed(data)
        if begins and self.in_head and self.cycle is not before and not self.refused:
            self.service.heads.keep(data, self.cycle)
        if self.head_size > self.service.limits.headers and not self.refused:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Begin a request; uvicorn's scope is made later, and only where a coroutine needs it."""
        self.url = b""
        self.headers = []
        self.hosts = 0
        self.upgrade = False
        self.expect_100_continue = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Trailers are dropped: they must not pass for headers."""
        if not self.in_head:
            return
        name = name.lower()
        if name == b"host":
            self.hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"upgrade":
            self.upgrade = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the way of a request: refused, direct, or through the ASGI application."""
        self.upgrade = self.upgrade and self.parser.should_upgrade()
        if self.upgrade:  # it comes again, without
            return
        self.in_head = False
        self.body_size = 0
        method = self.parser.get_method()
        self.body_limit = self.service.body_limit(method, self.url)
        if self.refused or self._head_refused():
            return
        self.head_size = 0
        handler = self.service.direct.get((method, self.url)) or self.service.direct_at(method, self.url)
        if handler is None:
            self._begin_asgi()
            return
        exchange = ConnectionExchange(self, handler, self.headers, keep_alive=self.parser.should_keep_alive())
        waiting = self.cycle is not None and not self.cycle.response_complete
        self.cycle = exchange
        if waiting:
            self.deadline = math.inf
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]
        elif self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Gather the body, up to the limit."""
        if self.refused:
            return
        self.head_size = 0
        self.body_size += len(body)
        if self.body_limit == math.inf:  # it may go on for ever, but not stand still
            self.deadline = self.service.now + self.service.timeouts.request
        if self.body_size > self.body_limit:
            self._refuse_body()
        elif type(self.cycle) is ConnectionExchange:
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Handle a request that has come whole."""
        if self.refused or self.upgrade:
            return
        self.deadline = math.inf
        self.in_head = True
        self.head_size = 0
        exchange: Any = self.cycle
        if type(exchange) is not ConnectionExchange:
            super().on_message_complete()
            return
        exchange.more_body = False
        if not (self.pipeline and cast(Any, self.pipeline[0][0]) is exchange):
            exchange.handle()

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or wait for one. The service's sweep replaces uvicorn's timers."""
        if self.transport.is_closing():
            self.deadline = self.service.now + CLOSING
        elif self.pipeline or self.refusal:
            self._advance()
        else:
            if self.flow.read_paused:
                self.flow.resume_reading()
            if self.deadline == math.inf:
                self.deadline = self.service.now + self.service.timeouts.keep_alive

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read its answers."""
        super().pause_writing()
        self.unread_until = self.service.now + self.service.timeouts.answer
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self.unread_until = math.inf
        self.flow.resume_reading()

    def refuse(self, status: int, detail: str) -> None:
        """Answer with a problem, after the answers that are due before it, and close.

        What the client sends next cannot be told apart any more. It is dropped for a moment: a client whose
        bytes meet a closed connection would lose the answer.
        """
        self.refused = True
        self.service.figures.turned_away[status] += 1
        extra = b"connection: close\r\n" + (b"retry-after: 1\r\n" if status == 503 else b"")
        self.refusal = response(status, self.service.date, MEDIA_TYPE, problem(status, detail), extra)
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._close_refused()
        elif not cycle.more_body:  # it is another request's
            return
        elif self.pipeline:
            self.pipeline.popleft()
        elif getattr(cycle, "response_started", False):
            self.transport.close()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._close_refused()

    def shutdown(self) -> None:
        """Let what has been asked be answered, and close. What has not come whole is not waited for."""
        if self.cycle is not None and self.cycle.more_body and not self.pipeline:
            self.transport.close()
        else:
            super().shutdown()

    def expire(self, now: float) -> None:
        """Close the connection if its time to send a request is over, or to read its answers."""
        if now >= self.unread_until:
            self.transport.abort()
        if now < self.deadline:
            return
        self.deadline = now + CLOSING
        if self.refused or self.transport.is_closing():
            self.transport.abort()
        elif self.in_head and self.head_size == 0:
            self.transport.close()
        else:
            self.refuse(408, f"The request did not arrive whole within {self.service.timeouts.request}.")

    def _close_refused(self) -> None:
        self.deadline = self.service.now + CLOSING
        self.transport.write(self.refusal)
        if len(self.connections) > self.service.max_connections:  # no time to be polite
            self.transport.close()
        else:
            if self.transport.can_write_eof():  # not over TLS
                self.transport.write_eof()
            self.flow.resume_reading()

    def _advance(self) -> None:
        """Start pipelined requests while they are answered at once: a loop, since each answer comes here."""
        if self.advancing:
            return
        self.advancing = True
        answered = True
        while answered and self.pipeline and not self.transport.is_closing():
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            answered = cycle.response_complete
        self.advancing = False
        if answered and self.refusal and not self.transport.is_closing():
            self._close_refused()
        elif not self.pipeline:
            self.flow.resume_reading()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if cycle.more_body and self.deadline == math.inf:  # it has waited; its body may come now
            self.deadline = self.service.now + self.service.timeouts.request
        if type(cycle) is not ConnectionExchange:
            super()._start_asgi_task(cycle, app)
        elif not cycle.more_body:
            cycle.handle()
        elif self.expect_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # No other protocol is spoken here, and a client may ask for one without need of it. The parser
            # reads no body of such a request, so it gets the head again, without the question.
            lines = [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade"]
            version = self.parser.get_http_version().encode()
            head = b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(lines))
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.refused:
                self.refuse(400, "This is no valid HTTP/1.1 request.")

    def _begin_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def _head_refused(self) -> bool:
        limits = self.service.limits
        if self.hosts != 1 and (self.hosts or self.parser.get_http_version() == "1.1"):
            self.refuse(400, "Send exactly one Host header.")
        elif len(self.headers) > limits.header_count:
            self.refuse(431, f"A request may have {limits.header_count} headers.")
        elif (why := unwelcome(self.parser.get_method(), self.headers, self.service)) is not None:
            self.refuse(*why)
        elif self.head_size > limits.headers and self._size_of_head() > limits.headers:
            self._refuse_head()
        else:
            for name, value in self.headers:
                if name == b"content-length" and int(value) > self.body_limit:
                    self._refuse_body()
        return self.refused

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_head(self) -> None:
        self.refuse(431, f"The head of a request may have {self.service.limits.headers}.")

    def _refuse_body(self) -> None:
        may = Size(self.body_limit)
        self.refuse(413, f"The body of this request may have {may}; send less, or a link to it.")
