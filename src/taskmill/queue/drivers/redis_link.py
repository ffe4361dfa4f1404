"""The connections to Redis or Valkey, and whether they serve."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, OutOfMemoryError, RedisError  # noqa: A004

from taskmill.queue.drivers.library import shown
from taskmill.queue.drivers.loop import Loop
from taskmill.queue.drivers.outage import Outage
from taskmill.queue.drivers.redis import RedisConfig
from taskmill.queue.drivers.redis_channel import RedisChannel
from taskmill.queue.errors import QueueError, QueueFull, QueueUnavailable

logger = logging.getLogger(__name__)

CONNECT = 2.0  # seconds
ANSWER = 5.0  # seconds for an answer, above the longest that a read blocks at the server
LOOK = 2.0  # seconds between two looks whether the server answers


class RedisLink:
    """Owns the client and the channels. Connections that break are replaced as commands need them."""

    def __init__(self, entry_id: str, config: RedisConfig) -> None:
        self.config = config
        self.outage = Outage(f"{entry_id} ({shown(config.url)})")
        self.client = _client(config)
        self._channels: dict[str, RedisChannel] = {}
        self._loop = Loop("the connection", self.outage, self._round, limit=15)
        self._stopped = False

    async def start(self) -> None:
        """Look at the server, and begin to look again; raise QueueError where the credentials are refused."""
        try:
            async with asyncio.timeout(4):
                await self._advise()
        except AuthenticationError:
            await self.client.aclose()
            raise QueueError(
                f"{self.outage.what} refuses the credentials: mend user and password in `url`"
            ) from None
        except (RedisError, OSError, TimeoutError) as error:
            self.outage.begins(self._loop.part, words(error))
        self._loop.start()

    async def stop(self) -> None:
        """Give back what is held, and disconnect."""
        self._stopped = True
        await asyncio.gather(*[channel.close() for channel in self._channels.values()])
        await self._loop.stop()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1):
                await self.client.aclose()

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> RedisChannel:
        """Return the channel of a name, the same for the same name."""
        if queue_name not in self._channels:
            self._channels[queue_name] = RedisChannel(self, queue_name, redelivery)
        return self._channels[queue_name]

    def problem(self) -> str | None:
        """What is wrong with the server."""
        return self._loop.problem()

    @contextlib.contextmanager
    def asking(self) -> Iterator[Redis]:
        """Give the client; raise what goes wrong with it as a QueueError of the right sort."""
        if self._stopped:
            raise QueueError(f"{self.outage.what} has stopped")
        try:
            yield self.client
        except OutOfMemoryError as error:
            raise QueueFull(f"{self.outage.what} has no memory left: raise its `maxmemory`") from error
        except (RedisError, OSError, TimeoutError) as error:
            raise QueueUnavailable(f"{self.outage.what} does not confirm: {words(error)}") from error

    async def _round(self) -> None:
        try:
            await self.client.ping()
        except (RedisError, OSError) as error:
            raise QueueUnavailable(words(error)) from error
        await asyncio.sleep(LOOK)  # between two looks

    async def _advise(self) -> None:
        """Warn of a server that may drop messages when its memory is full."""
        memory: dict[str, Any] = await self.client.info("memory")
        policy = memory.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            logger.warning(
                "%s may drop messages when its memory is full: set `maxmemory-policy noeviction` in place of `%s`",
                self.outage.what, policy,
            )  # fmt: skip


def words(error: BaseException) -> str:
    """Return what went wrong, in words for an operator."""
    if isinstance(error, ConnectionError) and "Connect call failed" in str(error):
        return "connection refused"
    return str(error) or "it does not answer"


def _client(config: RedisConfig) -> Redis:
    options: dict[str, Any] = {}
    if config.tls is not None:
        config.tls.context()  # which tells what is wrong with the files
        options = {
            "ssl_ca_certs": config.tls.ca or None,
            "ssl_certfile": config.tls.certificate or None,
            "ssl_keyfile": config.tls.key or None,
        }
    return Redis.from_url(
        config.url,
        client_name="taskmill",
        protocol=2,
        socket_timeout=ANSWER,
        socket_connect_timeout=CONNECT,
        retry=Retry(NoBackoff(), 0),  # a repeated XADD would be a second message
        **options,
    )
