"""A load for dispatch over engines: what was submitted, what has run, and how often."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from support import Server, eventually

ACTIONS = '''
def note(word: str) -> None:
    """Write down what runs, once each time."""
    log = os.open(os.environ["TASKMILL_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, (word + "\\n").encode())
    os.close(log)

@action
async def takes(seconds: float, word: str) -> str:
    note(word)
    await asyncio.sleep(seconds)
    return word
'''


PAUSE = 0.01  # seconds between two submissions, so that what piles up in an outage is soon done


class Load:
    """Submits tasks to servers in turn until it is stopped. Each runs for ``seconds`` and returns a word of its own."""

    def __init__(self, servers: Sequence[Server], notes: Path, seconds: float = 0.002) -> None:
        self.acknowledged: dict[str, str] = {}  # words, and ids
        self.refused = 0
        self.longest = 0.0  # seconds between two answers of 202
        self._servers = servers
        self._notes = notes
        self._seconds = seconds
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        number = 0
        last = time.monotonic()
        while not self._stop.is_set():
            number += 1
            word = f"word-{number}"
            server = self._servers[number % len(self._servers)]
            try:
                answer = server.request(
                    "POST", "/tasks", {"action": "takes", "data": {"seconds": self._seconds, "word": word}}
                )
            except OSError:
                self.refused += 1
                self._stop.wait(PAUSE)
                continue
            if answer.status == 202:
                self.acknowledged[word] = answer.json()["id"]
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()
                self._stop.wait(PAUSE)
            else:
                self.refused += 1
                self._stop.wait(PAUSE)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(20)

    def runs(self) -> Counter[str]:
        return Counter(self._notes.read_text().split()) if self._notes.exists() else Counter()

    def check(self, server: Server, timeout: float = 60) -> Counter[str]:
        """Wait until all that was acknowledged is completed, each with its result; return how often each ran."""
        deadline = time.monotonic() + timeout
        for word, id_ in self.acknowledged.items():
            task = server.ended(id_, max(1.0, deadline - time.monotonic()))
            assert (task["status"], task["result"]) == ("completed", {"output": word}), task
        runs = self.runs()
        more = sum(1 for word in self.acknowledged if runs[word] > 1)
        print(
            f"submitted {len(self.acknowledged) + self.refused}, acknowledged {len(self.acknowledged)}, completed "
            f"{len(self.acknowledged)}, executed more than once {more}, lost 0, longest gap {self.longest:.2f} s"
        )
        return runs


def twice(runs: Counter[str]) -> list[str]:
    """Return what has run more than once."""
    return [word for word, count in runs.items() if count > 1]


def enough(load: Load, count: int) -> None:
    """Wait until so many more have been acknowledged."""
    until = len(load.acknowledged) + count
    eventually(lambda: len(load.acknowledged) >= until, 30)
