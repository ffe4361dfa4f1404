"""What the pool and its worker processes say to each other, and the outcomes a caller sees.

Parent to worker: one frame a batch, a list of `(FunctionRef, [payload, …])`, and nil after the last. Worker to parent:
one frame a call, in the same order, `Completed`, `Failed` or `NotRun`. Before it, the running call may send frames
`Asked`, each of which is answered by a frame of bytes, and waited for, and `Said`, which are not. No ids are needed: a
worker runs one call at a time, so the n-th answer belongs to the n-th call, and the running call is always the first
one without an answer. Which calls a worker shall not run stands in memory that both share: see
`taskmill.process.page`.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, msgpack

PREFIX = 4  # bytes of length before each frame
CHUNK = 256 * 1024  # bytes asked of the socket at once: about what its buffer holds

Reason = Literal["crashed", "timeout", "cancelled", "shutdown"]


class FunctionRef(Struct, frozen=True, array_like=True):
    """Names a function so that another process finds it, and the adapter that feeds it bytes."""

    source: str
    method: str
    directory: str
    adapter: str = "taskmill.process.runner:json_arguments"


class Completed(Struct, frozen=True, array_like=True, tag=0, tag_field="tag", gc=False):
    """The call returned; what the bytes mean is up to the function's adapter."""

    result: bytes


class Failed(Struct, frozen=True, array_like=True, tag=1, tag_field="tag", gc=False):
    """The call raised, its source could not be loaded, or no worker process can be started."""

    type: str
    message: str
    traceback: str


class Killed(Struct, frozen=True, gc=False):
    """The worker process ended while it ran the call, by its own fault or killed on purpose."""

    reason: Reason
    message: str
    signal: str | None  # "SIGSEGV"
    exit_code: int | None
    peak_memory: int  # bytes; at most this


class NotRun(Struct, frozen=True, array_like=True, tag=2, tag_field="tag", gc=False):
    """The call was taken back before it began, so it must not count as an attempt."""

    reason: Literal["cancelled", "shutdown"]


class Asked(Struct, frozen=True, array_like=True, tag=3, tag_field="tag", gc=False):
    """The running call asks for something; what the bytes mean is up to who gave the call."""

    question: bytes


class Said(Struct, frozen=True, array_like=True, tag=4, tag_field="tag", gc=False):
    """What the running call says before its end; what the bytes mean is up to its function."""

    what: bytes


Answer = Completed | Failed | NotRun | Asked | Said
Outcome = Completed | Failed | Killed | NotRun

encode = msgpack.Encoder().encode
decode_calls = msgpack.Decoder(list[tuple[FunctionRef, list[bytes]]]).decode
decode_answer = msgpack.Decoder(Answer | Said).decode


def frame(message: object) -> bytes:
    """Encode one message with its length before it."""
    body = encode(message)
    return len(body).to_bytes(PREFIX) + body


class Frames:
    """Cuts a stream of bytes back into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytearray]:
        """Add bytes and yield each frame that is now whole; to be exhausted before the next bytes come."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= PREFIX:
            end = start + PREFIX + int.from_bytes(buffer[start : start + PREFIX])
            if end > len(buffer):
                break
            yield buffer[start + PREFIX : end]
            start = end
        del buffer[:start]
