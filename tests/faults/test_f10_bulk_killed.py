"""F10: `kill -9` in the middle of a bulk: all or none of a document, and each answered line of a stream."""

import json
import os
import random
import shutil
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
from apps import application
from durability import rows
from support import Server, eventually, serving

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(180)]

SEED = int(os.environ.get("TASKMILL_SEED", str(random.SystemRandom().getrandbits(32))))
MANY = 10_000
KILLS = int(os.environ.get("TASKMILL_KILLS", "2"))
ACTIONS = """
@action(inline=True)
def keep(n: int) -> int:
    return n
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return application(tmp_path / "app", ACTIONS)


def tasks(first: int = 0) -> list[dict[str, object]]:
    return [{"action": "keep", "data": {"n": n}} for n in range(first, first + MANY)]


def numbers(data: Path) -> dict[str, int]:
    """Return the numbers of all tasks in the database that a killed server has left, by id."""
    with TemporaryDirectory() as copy:  # to open the files would write to them
        for file in data.glob("tasks.db*"):
            shutil.copy(file, copy)
        found = rows(Path(copy), must_exist=False)
    return {id_: row.data["n"] for id_, row in found.items() if isinstance(row.data, dict)}


class Sent:
    """A request that is sent and whose answer is read by a thread, for as long as its server lives."""

    def __init__(self, server: Server, path: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(server.url)
        assert parts.hostname
        self.answer = bytearray()
        self._socket = socket.create_connection((parts.hostname, parts.port), 60)
        lines = [
            f"{name}: {value}"
            for name, value in {"Host": "x", "Content-Length": len(body), **headers}.items()
        ]
        self._text = "\r\n".join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode() + body
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._write, self._read)]
        for thread in self._threads:
            thread.start()

    def _write(self) -> None:
        with suppress(OSError):
            self._socket.sendall(self._text)

    def _read(self) -> None:
        with suppress(OSError):
            while data := self._socket.recv(2**16):
                self.answer += data

    def end(self) -> bytes:
        """Wait for the end of the connection; return all that was answered."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()
        self._socket.close()
        return bytes(self.answer)


def ids_in(answer: bytes) -> list[str]:
    """Return the ids in the whole lines of a chunked answer."""
    body = answer.partition(b"\r\n\r\n")[2]
    text = bytearray()
    while b"\r\n" in body:
        size, _, body = body.partition(b"\r\n")
        text += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return [json.loads(line)["id"] for line in text.split(b"\n")[:-1]]


def test_F10_of_a_killed_document_all_is_stored_or_nothing(tmp_path: Path, app: Path) -> None:
    print(f"TASKMILL_SEED={SEED} repeats this choice of instants")
    instants = random.Random(SEED)
    before, outcomes = 0, []
    for number in range(KILLS):
        body = json.dumps({"tasks": tasks(number * MANY)}).encode()
        with serving(tmp_path / "data", str(app)) as server:
            sent = Sent(server, "/tasks/bulk", {"Content-Type": "application/json"}, body)
            time.sleep(instants.uniform(0.0, 0.4))  # the instant of the kill
            server.kill()
            answer = sent.end()
        found = len(numbers(tmp_path / "data"))
        outcomes.append(found - before)
        assert outcomes[-1] in (0, MANY)
        if b"\r\n\r\n" in answer:
            assert answer.startswith(b"HTTP/1.1 202")
            assert outcomes[-1] == MANY
        before = found
    print(f"stored {outcomes}")


def test_F10_each_answered_line_of_a_killed_stream_is_stored_once(tmp_path: Path, app: Path) -> None:
    print(f"TASKMILL_SEED={SEED} repeats this choice of instants")
    instants = random.Random(SEED)
    body = b"".join(json.dumps(task).encode() + b"\n" for task in tasks())
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "the stream"}
    answered: set[str] = set()
    for _ in range(KILLS):
        with serving(tmp_path / "data", str(app)) as server:
            sent = Sent(server, "/tasks/bulk", headers, body)
            least = instants.randrange(1, MANY * 40)  # bytes of the answer
            eventually(lambda: len(sent.answer) >= least, 60)  # noqa: B023 - it is called here
            server.kill()
            answered.update(ids_in(sent.end()))
        found = numbers(tmp_path / "data")
        assert answered <= found.keys()
        assert len(set(found.values())) == len(found), "no line is stored twice"
    print(f"{len(answered):,} lines were answered, {len(found):,} stored")
    with serving(tmp_path / "data", str(app)) as server:
        answer = server.request("POST", "/tasks/bulk", body, headers, timeout=60)
        assert answered <= {json.loads(line)["id"] for line in answer.body.splitlines()}
        assert server.terminate() == 0
    assert sorted(numbers(tmp_path / "data").values()) == list(range(MANY))
