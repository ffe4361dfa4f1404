"""The yardstick: a plain ASGI application on uvicorn, reading the body and answering a constant 202."""

import sys
from typing import Any

from bench.servers import Target

BODY = b'{"id":"01980f6e-7a2b-7c3d-8e4f-5a6b7c8d9e0f","status":"queued"}'
START = {
    "type": "http.response.start",
    "status": 202,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
        (b"location", b"/tasks/01980f6e-7a2b-7c3d-8e4f-5a6b7c8d9e0f"),
    ],
}
END = {"type": "http.response.body", "body": BODY}


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer without looking at what was asked."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(END)


class Constant(Target):
    """uvicorn with uvloop and httptools, one process."""

    name = "constant, ASGI"

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "bench.constant:app", "--port", str(self.port)]
        command += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off"]
        command += ["--no-access-log", "--log-level", "warning"]
        self.spawn(command, self.port)
