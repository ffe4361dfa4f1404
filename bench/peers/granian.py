"""granian answering the same constant 202, over ASGI and over its own RSGI."""

import importlib.util
import sys
from typing import Any

from bench.constant import BODY
from bench.servers import Target

HEADERS = [("content-type", "application/json"), ("location", "/tasks/01980f6e-7a2b-7c3d-8e4f-5a6b7c8d9e0f")]


async def app(_: Any, protocol: Any) -> None:
    """Answer over RSGI once the body has been read."""
    await protocol()
    protocol.response_bytes(202, HEADERS, BODY)


class Granian(Target):
    """One worker, uvloop, HTTP/1.1."""

    def __init__(self, interface: str) -> None:
        super().__init__()
        self.name = f"constant, granian {interface}"
        self._interface = interface

    def start(self) -> None:
        if importlib.util.find_spec("granian") is None:
            raise ImportError("granian is missing: `make bench` installs it")
        module = "bench.peers.granian" if self._interface == "rsgi" else "bench.constant"
        command = [sys.executable, "-m", "granian", f"{module}:app", "--interface", self._interface]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1", "--loop", "uvloop"]
        command += ["--http", "1", "--no-access-log", "--log-level", "warning"]
        self.spawn(command, self.port, orphaned="TERM")
