"""Load of every kind from a process of its own: retries, delays, keys, cancels, until the server is gone.

Prints a line for each answer, once all of it has been read: what was asked, the task's id, and what it must come to.
Run as `python life_load.py HOST:PORT CONNECTIONS SEED`.
"""

import asyncio
import json
import random
import sys

LIMIT = 20_000  # tasks of a connection, should nobody end the server

Wanted = tuple[str, dict[str, object], dict[str, str], object]  # kind, body, headers, what it comes to


def tell(**line: object) -> None:
    print(json.dumps(line), flush=True)


class Client:
    """One connection, which asks for one thing after another."""

    def __init__(self, host: str, port: int, name: str, choice: random.Random) -> None:
        self.host, self.port, self.name, self.choice = host, port, name, choice

    async def run(self) -> None:
        try:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            for number in range(LIMIT):
                kind, body, headers, wanted = self.wish(f"{self.name}-{number}")
                status, answer = await self.post("/tasks", body, headers)
                if status != 202:
                    tell(kind="refused", status=status)
                    continue
                id_ = answer["id"]
                if kind == "cancelled":
                    tell(kind="perhaps cancelled", id=id_, wanted=wanted)
                    status, answer = await self.post(f"/tasks/{id_}/cancel", None, {})
                    if status == 200:
                        tell(kind="cancelled", id=id_, wanted=None)
                elif kind == "twice":
                    tell(kind=kind, id=id_, wanted=wanted)
                    status, again = await self.post("/tasks", body, headers)
                    tell(
                        kind="again" if again["id"] == id_ else "not the same", id=again["id"], wanted=wanted
                    )
                else:
                    tell(kind=kind, id=id_, wanted=wanted)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the server was killed, which is what this is for

    def wish(self, text: str) -> Wanted:
        choice = self.choice
        kind = choice.choice(
            ["plain", "flaky", "hopeless", "delayed", "keyed", "twice", "cancelled", "urgent"]
        )
        way = choice.choice(["inline", "loop", "isolated"])
        data: dict[str, object] = {"text": text}
        body: dict[str, object] = {"action": way, "data": data}
        headers = {}
        wanted: object = {"output": text.upper()}
        if kind == "flaky":
            data["failures"] = choice.randrange(1, 4)
        elif kind == "hopeless":
            data["hopeless"], wanted = True, "Fail"
        elif kind == "delayed":
            body["delay"] = choice.uniform(0.01, 1)
        elif kind == "keyed":
            key = (
                f"key-{choice.randrange(20)}"  # its text is the key's: whoever comes first, the result is one
            )
            body.update(key=key, delay=choice.choice([0, 0.2]))
            data["text"], wanted = key, {"output": key.upper()}
        elif kind == "twice":
            headers["Idempotency-Key"] = text
        elif kind == "cancelled":
            body["delay"] = choice.choice([0, 0.3])
        elif kind == "urgent":
            body["priority"] = choice.randrange(1, 10)
        return kind, body, headers, wanted

    async def post(self, path: str, body: object, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: load", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        answer = await self.reader.readexactly(length)
        return int(head.split()[1]), json.loads(answer)


async def main(address: str, connections: str, seed: str) -> None:
    host, _, port = address.rpartition(":")
    names = [f"{seed}-{number}" for number in range(int(connections))]
    await asyncio.gather(*(Client(host, int(port), name, random.Random(name)).run() for name in names))


asyncio.run(main(*sys.argv[1:]))
