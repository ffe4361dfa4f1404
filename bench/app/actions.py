"""The same small job three times: only where it runs differs."""

import asyncio

from taskmill import action


@action(inline=True)
def noop_inline(text: str) -> str:
    """On the event loop, between two requests."""
    return text.upper()


@action
async def noop_async(text: str) -> str:
    """On the event loop, as a coroutine of its own."""
    return text.upper()


@action
def noop_def(text: str) -> str:
    """In a worker process."""
    return text.upper()


@action
async def sleep_5ms(text: str) -> str:
    """A job that waits for something else."""
    await asyncio.sleep(0.005)
    return text
