"""`queue.publish` and `queue.message`, from functions on the loop and in threads."""

import asyncio
from typing import Any

import pytest
from consuming import Stage, run

from taskmill import queue
from taskmill.queue import QueueError


def test_publishing_works_on_the_loop_and_in_threads_and_keeps_data_and_headers() -> None:
    async def scenario() -> None:
        seen: list[tuple[Any, dict[str, str], str]] = []

        def handle(data: Any) -> bool:
            message = queue.message()
            seen.append((data, dict(message.headers()), message.id()))
            return True

        stage = Stage(handle, concurrency=1)
        await stage.start()
        first = await queue.publish("app:queue", {"text": "grüße"}, {"from": "loop"})
        second = await asyncio.to_thread(queue.publish, "app:queue", [1, 2.5, None], {"from": "thread"})
        third = queue.publish("app:queue", "nobody waits")
        await third
        await third  # once more does no harm
        await stage.drained()
        assert seen == [
            ({"text": "grüße"}, {"from": "loop"}, first.id),
            ([1, 2.5, None], {"from": "thread"}, second.id),
            ("nobody waits", {}, third.id),
        ]
        await stage.stop()

    run(scenario)


def test_mistakes_are_told_at_once() -> None:
    async def scenario() -> None:
        stage = Stage(lambda _: True)
        await stage.start()
        with pytest.raises(QueueError, match=r"did you mean `app:queue`\?"):
            queue.publish("app:queu", {})
        with pytest.raises(TypeError, match="object"):
            queue.publish("app:queue", object())
        with pytest.raises(QueueError, match=r"for functions that a queue\.consumer calls"):
            queue.message()
        await stage.stop()
        with pytest.raises(QueueError, match="no queue `app:queue` has started"):
            queue.publish("app:queue", {})

    run(scenario)
