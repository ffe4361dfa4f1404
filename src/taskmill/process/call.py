"""A call of a function in a worker process."""

from collections.abc import Callable

from msgspec import Struct

from taskmill.process.messages import FunctionRef, Outcome

# Called on the loop with a call's payload and its question, and with what takes the reply, then or later.
Asking = Callable[[bytes, bytes, Callable[[bytes], None]], None]


class Call(Struct, eq=False):
    """One function to run in a worker process. `done` is called on the loop, once, and must be quick.

    One that is itself `quick` may wait in a process behind others that are; any other gets an idle process.
    """

    function: FunctionRef
    payload: bytes
    done: Callable[[Outcome], None]
    timeout: float | None = None  # seconds, from when the call is the running one
    quick: bool = False
    cancelled: bool = False
    grace: float = 0.0  # seconds that it has to end by itself once it is cancelled
    asked: Asking | None = None  # answers what it asks while it runs
    said: Callable[[bytes], None] | None = None  # hears on the loop what it says before its end
