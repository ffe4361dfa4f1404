"""Clients that hold connections and send next to nothing."""

import os
import selectors
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from apps import cpu_seconds
from support import Server, eventually, serving
from wire import Wire, post, task

CLIENTS = int(os.environ.get("TASKMILL_SLOW_CLIENTS", "500"))
HEAD = post(task("slow"))[: -len(task("slow"))]
SLOW_WAYS = {  # what is sent at once, and what drips after it
    "silent": (b"", b""),
    "one header byte at a time": (b"POST /tasks HTTP/1.1\r\nX-Long: ", b"a"),
    "one body byte at a time": (HEAD, b" "),
    "a body behind another request": (post(task("first")) + HEAD, b" "),
}


def drip(server: Server, wires: list[tuple[Wire, bytes]], limit: float) -> list[tuple[float, bytes]]:
    """Send a byte on each connection now and then until all are closed; return when, and what the server said."""
    began = time.monotonic()
    closed: list[tuple[float, bytes]] = []
    said: dict[Wire, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for wire, byte in wires:
            selector.register(wire.socket, selectors.EVENT_READ, (wire, byte))
        while selector.get_map() and time.monotonic() - began < limit:
            for key, _ in selector.select(0.1):
                wire = key.data[0]
                try:
                    data = wire.socket.recv(65536)
                except ConnectionError:
                    data = b""
                said[wire] = said.get(wire, b"") + data
                if not data:
                    selector.unregister(wire.socket)
                    closed.append((time.monotonic() - began, said[wire]))
            for key in list(selector.get_map().values()):
                wire, byte = key.data
                wire.send_until_cut(byte)
    return closed


@pytest.mark.parametrize("way", SLOW_WAYS)
def test_F28_slow_clients_are_closed_at_the_deadline(tmp_path: Path, way: str) -> None:
    first, byte = SLOW_WAYS[way]
    with serving(tmp_path, "-o", "app:gateway:timeouts.request=1s") as server, ExitStack() as stack:
        wires = [(stack.enter_context(Wire(server.url)).send(first), byte) for _ in range(CLIENTS)]
        began = time.monotonic()
        id_ = server.submit("uppercase", {"text": "meanwhile"})
        assert server.ended(id_)["result"] == {"output": "MEANWHILE"}
        assert time.monotonic() - began < 1
        closed = drip(server, wires, 10)
        assert len(closed) == CLIENTS
        assert max(moment for moment, _ in closed) < 5
        for _, said in closed:
            assert (b" 408 " in said) == (way != "silent")
        assert server.submit("uppercase")


def test_F28_a_keep_alive_connection_is_closed_when_it_idles(tmp_path: Path) -> None:
    with serving(tmp_path, "-o", "app:gateway:timeouts.keep_alive=1s") as server, Wire(server.url) as wire:
        for _ in range(2):
            assert wire.send(post(task("x"))).reply().status == 202
        began = time.monotonic()
        assert wire.rest() == b""
        assert 0.5 < time.monotonic() - began < 5


def test_F28_a_steady_client_is_not_closed(tmp_path: Path) -> None:
    """Each request has its own deadline: a connection may live as long as its client uses it."""
    with serving(tmp_path, "-o", "app:gateway:timeouts.request=300ms") as server, Wire(server.url) as wire:
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            assert wire.send(post(task("x"))).reply().status == 202


def test_F28_more_connections_than_allowed_are_turned_away(tmp_path: Path) -> None:
    with serving(tmp_path, "-o", "app:gateway:limits.connections=5") as server, ExitStack() as stack:
        held = [stack.enter_context(Wire(server.url)) for _ in range(5)]
        eventually(lambda: b" 200 " in _healthz_on(held[0]))
        with Wire(server.url) as one_more:
            reply = one_more.reply()
            assert reply.status == 503
            assert reply.headers["retry-after"] == "1"
            assert one_more.rest() == b""
        for wire in held:
            wire.socket.close()
        eventually(lambda: _status(server) == 200)


def _healthz_on(wire: Wire) -> bytes:
    wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    return wire.socket.recv(65536)


def _status(server: Server) -> int:
    with Wire(server.url) as wire:
        wire.send_until_cut(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            return wire.reply().status
        except OSError:
            return 0


def test_F28_a_flood_does_not_take_the_files_that_the_server_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nulimit -n 256\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr("support.sys.executable", str(script))
    with (
        serving(tmp_path / "data", "-o", "app:gateway:timeouts.request=2s", directory=tmp_path) as server,
        ExitStack() as stack,
    ):
        id_ = server.submit("uppercase", {"text": "before"})
        wires = [stack.enter_context(Wire(server.url)) for _ in range(CLIENTS)]
        before = cpu_seconds(server.process.pid)
        closed = drip(server, [(wire, b"") for wire in wires], 10)
        assert len(closed) == CLIENTS
        assert cpu_seconds(server.process.pid) - before < 1.5  # it waits, and does not spin
        assert server.submit("uppercase")
        assert server.ended(id_)["result"] == {"output": "BEFORE"}
        assert server.terminate() == 0
