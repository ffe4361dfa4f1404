"""What a stream's answer to a publication means: kept, to be tried again, or never taken."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from taskmill.queue import MessageTooLarge, QueueError, QueueFull, QueueUnavailable
from taskmill.queue.drivers.nats_publish import NoStream, Publishing


def answered(answer: object = None, status: str = "") -> type[Exception] | None:
    """Publish one message, answer it so, and return what is raised."""

    class Client:
        async def publish(self, subject: str, body: bytes, reply: str, headers: dict[str, str]) -> None:
            found: Any = SimpleNamespace(
                headers={"Status": status} if status else None, data=msgspec.json.encode(answer)
            )
            publishing.confirmed(reply.rpartition(".")[2], found)

    publishing = Publishing("tasks", "taskmill.tasks")
    client: Any = Client()
    try:
        asyncio.run(publishing.publish(client, "inbox", [(b"{}", {})], 5))
    except Exception as error:
        return type(error)
    return None


def error(code: int, err_code: int) -> dict[str, Any]:
    return {"type": "x", "error": {"code": code, "err_code": err_code, "description": "words"}, "seq": 0}


@pytest.mark.parametrize(("answer", "raised"), [
    ({"stream": "taskmill", "seq": 7}, None),
    ({"stream": "taskmill", "seq": 7, "duplicate": True}, None),
    (error(503, 10077), QueueFull),
    (error(400, 10054), MessageTooLarge),
    (error(503, 10008), QueueUnavailable),
    (error(500, 10049), QueueUnavailable),
    (error(409, 10158), QueueUnavailable),  # in a cluster: an earlier message of this id is under way
    (error(400, 10003), QueueError),
])  # fmt: skip
def test_each_answer_is_of_one_sort(answer: object, raised: type[Exception] | None) -> None:
    assert answered(answer) is raised


def test_no_responders_are_a_stream_that_is_gone() -> None:
    assert answered(status="503") is NoStream


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_declared() -> None:
    class Silent:
        async def publish(self, *_: object) -> None:
            """Answer nothing."""

    client: Any = Silent()
    with pytest.raises(TimeoutError, match="no answer in time"):
        asyncio.run(Publishing("tasks", "s.tasks").publish(client, "inbox", [(b"{}", {})], 0.05))


def test_a_connection_that_ends_ends_the_waiting() -> None:
    publishing = Publishing("tasks", "s.tasks")

    class Ending:
        async def publish(self, *_: object) -> None:
            publishing.give_up()

    client: Any = Ending()
    with pytest.raises(QueueUnavailable, match="the connection was lost"):
        asyncio.run(publishing.publish(client, "inbox", [(b"{}", {})], 30))
