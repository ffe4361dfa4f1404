"""Load from a process of its own: posts tasks over several connections until the server is gone.

Prints a line for each task that was acknowledged, once the whole 202 has been read: its id and the result that
it must come to. Run as `python durability_load.py HOST:PORT CONNECTIONS ACTION…`.
"""

import asyncio
import json
import os
import sys

LIMIT = 200_000  # tasks, should nobody end the server


def expected(action: str, number: int) -> tuple[object, object]:
    """Return an action's data and its result for the number of a task."""
    if action == "sum":
        return {"numbers": [number, 1]}, {"output": number + 1}
    return {"text": f"task-{number}-{os.getpid()}"}, {"output": f"TASK-{number}-{os.getpid()}"}


async def post(host: str, port: int, numbers: "asyncio.Queue[int]", actions: list[str]) -> None:
    try:
        reader, writer = await asyncio.open_connection(host, port)
        while not numbers.empty():
            number = numbers.get_nowait()
            action = actions[number % len(actions)]
            data, result = expected(action, number)
            body = json.dumps({"action": action, "data": data}).encode()
            writer.write(
                b"POST /tasks HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            answer = await reader.readexactly(length)
            if head.startswith(b"HTTP/1.1 202"):
                print(json.dumps([json.loads(answer)["id"], result]), flush=True)
            else:
                print(json.dumps([None, head.split(b"\r\n")[0].decode()]), flush=True)
                await asyncio.sleep(0.02)  # refused: it need not ask again at once
        writer.close()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the server was killed, which is what this is for


async def main(address: str, connections: str, *actions: str) -> None:
    host, _, port = address.rpartition(":")
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(LIMIT):
        numbers.put_nowait(number)
    await asyncio.gather(*(post(host, int(port), numbers, list(actions)) for _ in range(int(connections))))


asyncio.run(main(*sys.argv[1:]))
