"""What a worker process asks of its parent about steps, and the replies."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from taskmill.tasks.stepping.book import Step

Ask = Callable[[bytes], bytes]

encode = msgspec.msgpack.Encoder().encode
decode_question = msgspec.msgpack.Decoder(Step | None).decode
_decode_steps = msgspec.msgpack.Decoder(list[Step]).decode
_decode_kept = msgspec.msgpack.Decoder(bool).decode


def steps(ask: Ask) -> list[Step]:
    """Ask for the steps that the running task's earlier attempts have taken."""
    return _decode_steps(ask(encode(None)))


def keep(ask: Ask, step: Step) -> bool:
    """Have a step be stored; return false where the attempt is no longer its task's own."""
    return _decode_kept(ask(encode(step)))
