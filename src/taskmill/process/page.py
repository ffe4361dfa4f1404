"""Memory that a worker process shares with its parent: the call it has begun, and the calls it shall not run.

A look costs some 20 ns, where a look at a socket would cost a microsecond, and no descriptor is needed for it that a
function could close. Calls are numbered from 1, in the order in which a worker is given them.

The worker says that it begins a call and then looks for a mark; the parent marks a call and then looks whether it has
begun. So where the parent finds a call not begun, the worker finds the mark, unless the processor reorders those two:
whoever relies on it looks once more a moment later.
"""

from mmap import mmap

BEGUN = 0  # word: the last call that has begun. Only the worker writes it
LAST = 1  # word: the last call that has a mark
SLOTS = 1 << 16  # marks, call n's at n modulo this; pages of them that nobody touches take no memory
SIZE = 8 * (2 + SLOTS)  # bytes


class Page:
    """One side's view of the memory. All words are 0 at first."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap(descriptor, SIZE)
        self._bytes = memoryview(self._memory)
        self.words = self._bytes.cast("Q")

    def close(self) -> None:
        """Let go of the memory."""
        self.words.release()
        self._bytes.release()
        self._memory.close()

    @property
    def begun(self) -> int:
        """The last call that has begun; 0 before the first."""
        return self.words[BEGUN]

    def mark(self, number: int, *, cancelled: bool) -> None:
        """Have a call skipped if it has not begun. One that has begun learns of it only if it is `cancelled`.

        A mark lasts until the call is SLOTS calls back: no sooner may another get its slot.
        """
        # The number is part of the mark: what is left of an older call's never counts for another.
        self.words[2 + number % SLOTS] = number << 1 | cancelled
        self.words[LAST] = max(self.words[LAST], number)

    def is_marked(self, number: int) -> bool:
        """Tell whether a call shall be skipped."""
        return self.words[2 + number % SLOTS] >> 1 == number

    def is_cancelled(self) -> bool:
        """Tell whether the call that has begun last was cancelled."""
        number = self.words[BEGUN]
        return number <= self.words[LAST] and self.words[2 + number % SLOTS] == number << 1 | 1


class _Own:
    page: Page | None = None  # in a worker process, once it serves


def attach(page: Page) -> None:
    """Make this the page of the process, whose calls `cancelled` tells about."""
    _Own.page = page


def cancelled() -> bool:
    """Tell whether the call that runs in this worker process was asked to stop; False in any other process."""
    return _Own.page is not None and _Own.page.is_cancelled()
