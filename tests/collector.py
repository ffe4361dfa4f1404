"""A collector of traces for tests: it takes what an exporter sends by OTLP over HTTP, and shows it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support import eventually

KINDS = ("", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")


@dataclass(frozen=True)
class Span:
    """One span. Ids are hexadecimal; ``parent`` is empty where there is none."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    fields: dict[str, Any]
    links: list[str]  # ids of spans
    failed: bool
    events: list[str]
    service: str
    process: int


class Collector:
    """What has come in."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []

    def of(self, trace: str) -> list[Span]:
        return [span for span in list(self.spans) if span.trace == trace]

    def wait(self, trace: str, *names: str, timeout: float = 30.0) -> list[Span]:
        """Wait until a trace has so many spans of these names, and return them in the order of the names."""

        def look() -> list[Span] | None:
            left, found = self.of(trace), []
            for name in names:
                one = next((span for span in left if span.name == name), None)
                if one is None:
                    return None
                left.remove(one)
                found.append(one)
            return found

        found = eventually(look, timeout)
        assert found
        return found

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            about = _fields(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_span(one, about) for one in scope.spans]


def _fields(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def _span(one: Any, about: dict[str, Any]) -> Span:
    return Span(
        one.name, KINDS[one.kind], one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex(),
        _fields(one.attributes), [link.span_id.hex() for link in one.links], one.status.code == 2,
        [event.name for event in one.events], about.get("service.name", ""), about.get("process.pid", 0),
    )  # fmt: skip


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            if self.headers.get("Content-Encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            collector.take(body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(5)
