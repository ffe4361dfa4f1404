"""Filling a server with tasks from within a test, and what its database says afterwards."""

import asyncio
import json
from pathlib import Path

import apsw

CONNECTIONS = 16


def fill(url: str, count: int, action: str, data: object) -> None:
    """Submit so many tasks over several connections; each must be accepted."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    body = json.dumps({"action": action, "data": data}).encode()
    request = (
        b"POST /tasks HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    async def client(share: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(share):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
            assert head.startswith(b"HTTP/1.1 202"), answer
        writer.close()
        await writer.wait_closed()

    async def clients() -> None:
        shares = [count // CONNECTIONS + (number < count % CONNECTIONS) for number in range(CONNECTIONS)]
        await asyncio.gather(*map(client, shares))

    asyncio.run(clients())


def ends(data: Path) -> list[tuple[int, int]]:
    """Return status and end of every task, oldest first. The server must have stopped."""
    connection = apsw.Connection(str(data / "tasks.db"))
    try:
        return list(connection.execute("SELECT status, finished_at FROM task ORDER BY id"))
    finally:
        connection.close()
