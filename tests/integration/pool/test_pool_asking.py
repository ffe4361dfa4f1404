"""A call may ask its parent, which answers when it likes: meanwhile others run, wait, or the worker ends."""

import asyncio
from collections.abc import Callable

from msgspec import json
from pools import Calls, Run, eventually, ready

from taskmill.process.messages import Completed, Killed
from taskmill.process.pool import WorkerPool

FUNCTIONS = """
import threading
from taskmill.process.asking import ask

def asks(words):
    return [ask(word.encode()).decode() for word in words]

def asks_at_once(count):
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append([n, int(ask(str(n).encode()))])) for n in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)
"""

Reply = Callable[[bytes], None]


def upper(_: bytes, question: bytes, reply: Reply) -> None:
    reply(question.upper())


class Later:
    """Keeps what is asked until a test answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Reply]] = []

    def __call__(self, _: bytes, question: bytes, reply: Reply) -> None:
        self.asked.append((question, reply))

    def answer(self) -> None:
        for question, reply in self.asked:
            reply(question.upper())
        self.asked.clear()


def test_what_is_asked_is_answered_however_much_it_is(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        words = ["a", "", "b" * 2_000_000, "c"]
        call = calls.make("asks", words=words)
        call.asked = upper
        pool.submit([call])
        assert await calls.outcome(call) == Completed(json.encode([word.upper() for word in words]))

    calls.add(FUNCTIONS)
    run(body, workers=1)


def test_calls_that_come_meanwhile_wait_for_their_turn(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        later = Later()
        first, second = calls.make("asks", words=["a", "b"]), calls.make("asks", words=["c"])
        first.asked = second.asked = later
        pool.submit([first])
        await eventually(lambda: len(later.asked) == 1)
        behind = [calls.make("upper", text=str(n)) for n in range(3)]
        pool.submit([second, *behind])
        later.answer()
        await eventually(lambda: [question for question, _ in later.asked] == [b"b"])
        later.answer()
        await eventually(lambda: [question for question, _ in later.asked] == [b"c"])
        later.answer()
        assert [await calls.outcome(call) for call in (first, second, *behind)] == [
            Completed(json.encode(result)) for result in (["A", "B"], ["C"], "0", "1", "2")
        ]

    calls.add(FUNCTIONS)
    run(body, workers=1)


def test_threads_of_a_call_ask_one_after_the_other(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        call = calls.make("asks_at_once", count=20)
        call.asked = upper
        pool.submit([call])
        assert await calls.outcome(call) == Completed(json.encode([[n, n] for n in range(20)]))

    calls.add(FUNCTIONS)
    run(body, workers=1)


def test_a_reply_to_a_worker_that_has_ended_is_dropped(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        later = Later()
        call = calls.make("asks", timeout=0.3, words=["a"])
        call.asked = later
        pool.submit([call])
        outcome = await calls.outcome(call)
        assert isinstance(outcome, Killed)
        assert outcome.reason == "timeout"
        later.answer()
        after = calls.make("upper", text="x")
        pool.submit([after])
        assert await calls.outcome(after) == Completed(b'"X"')

    calls.add(FUNCTIONS)
    run(body, workers=1)


def test_what_runs_while_the_pool_stops_is_answered_still(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        later = Later()
        call = calls.make("asks", words=["a", "b"])
        call.asked = later
        pool.submit([call])
        await eventually(lambda: len(later.asked) == 1)
        stopping = asyncio.create_task(pool.stop(20))
        later.answer()
        await eventually(lambda: len(later.asked) == 1)
        later.answer()
        assert await calls.outcome(call) == Completed(b'["A","B"]')
        await stopping

    calls.add(FUNCTIONS)
    run(body, workers=1)


def test_where_nobody_answers_a_call_hears_nothing(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        call = calls.make("asks", words=["a"])
        pool.submit([call])
        assert await calls.outcome(call) == Completed(b'[""]')

    calls.add(FUNCTIONS)
    run(body, workers=1)
