"""Calls of small functions for tests of the pool, and what to wait for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
from msgspec import json

from taskmill.process.child import Call
from taskmill.process.messages import FunctionRef, Outcome
from taskmill.process.pool import WorkerPool

FUNCTIONS = """
import ctypes, os, sys, time

count = 0

def upper(text):
    return text.upper()

def pid():
    return os.getpid()

def nth():
    global count
    count += 1
    return count

def note(path, word):
    with open(path, "a") as file:
        file.write(word + "\\n")
    return word

def leave(code):
    os._exit(code)

def signal_itself(number):
    os.kill(os.getpid(), number)

def segfault():
    ctypes.string_at(0)

def loop(path):
    note(path, str(os.getpid()))
    while True:
        pass

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)
    return "seen"

def fork_and_leave(path):
    if os.fork() == 0:
        note(path, str(os.getpid()))
        while True:
            time.sleep(60)
    wait_for(path)
    os._exit(4)

def allocate(megabytes):
    block = b"x" * (megabytes << 20)
    os._exit(len(block) and 5)

def shout(text):
    print(text)
    print(text, file=sys.stderr)
    os.write(1, b"raw\\n")

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError

def fail(how):
    match how:
        case "plain":
            raise ValueError("no good")
        case "exit":
            sys.exit(7)
        case "surrogate":
            raise ValueError("\\ud800")
        case "unprintable":
            raise Unprintable
        case "recursion":
            return fail(how)
        case "result":
            return object()
"""

Body = Callable[[WorkerPool], Awaitable[None]]
Run = Callable[..., None]


class Calls:
    """Makes calls of the functions above and collects their outcomes, in the order in which they come."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.outcomes: list[tuple[Call, Outcome]] = []
        (directory / "functions.py").write_text(FUNCTIONS)

    def add(self, functions: str) -> None:
        """Add functions to those above, before the first call of any."""
        with (self.directory / "functions.py").open("a") as file:
            file.write(functions)

    def ref(self, method: str, source: str = "file://functions.py") -> FunctionRef:
        return FunctionRef(source, method, str(self.directory))

    def make(
        self,
        method: str,
        timeout: float | None = None,
        source: str = "file://functions.py",
        quick: bool = True,
        **data: Any,
    ) -> Call:
        def done(outcome: Outcome) -> None:
            self.outcomes.append((call, outcome))

        call = Call(self.ref(method, source), json.encode(data), done, timeout, quick)
        return call

    async def outcome(self, call: Call) -> Outcome:
        await eventually(lambda: any(done is call for done, _ in self.outcomes))
        (outcome,) = [outcome for done, outcome in self.outcomes if done is call]
        return outcome

    async def run(self, pool: WorkerPool, *calls: Call) -> list[Outcome]:
        pool.submit(calls)
        return [await self.outcome(call) for call in calls]


async def eventually(condition: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.002)  # between two looks, not instead of one


async def ready(pool: WorkerPool) -> None:
    await eventually(lambda: pool.idle == pool.workers)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def has_lines(path: Path, count: int) -> bool:
    return len(lines(path)) >= count


def alive(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
