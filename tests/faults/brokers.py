"""The brokers that come as wheels, each with what its driver is declared with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parts import DriverPart, entry
from servers.nats import NatsServer
from servers.server import ServerProcess
from servers.valkey import ValkeyServer

from taskmill.queue import NatsDriver, RedisDriver
from taskmill.queue.drivers.nats import NatsConfig
from taskmill.queue.drivers.redis import RedisConfig
from taskmill.units import Duration


@dataclass
class Broker:
    """A server, and how a driver for it is made: by default for its own port, and with a lease of two seconds."""

    server: ServerProcess
    make: Callable[[str, float], DriverPart]
    wipe: Callable[[], None]

    def driver(self, port: int = 0, lease: float = 2, credentials: str = "") -> DriverPart:
        address = f"{credentials}@127.0.0.1" if credentials else "127.0.0.1"
        return self.make(f"{address}:{port or self.server.port}", lease)


def nats(directory: Path, password: str = "") -> Broker:
    server = NatsServer(directory / "nats", users={"app": password} if password else None)

    def wipe() -> None:
        server.kill()
        server.wipe()
        server.start()

    return Broker(server, nats_driver, wipe)


def valkey(directory: Path, password: str = "") -> Broker:
    server = ValkeyServer(directory / "valkey", password=password)
    return Broker(server, redis_driver, server.wipe)


def nats_driver(address: str, lease: float, replicas: int = 1) -> DriverPart:
    url = ",".join(f"nats://{one}" for one in address.split(","))
    config = NatsConfig(
        name="driver", kind=NatsDriver.kind, url=url, ack_wait=Duration(lease), replicas=replicas
    )
    return entry(NatsDriver, config)


def redis_driver(address: str, lease: float) -> DriverPart:
    config = RedisConfig(
        name="driver", kind=RedisDriver.kind, url=f"redis://{address}/0", lease=Duration(lease)
    )
    return entry(RedisDriver, config)


BROKERS = {"nats": nats, "valkey": valkey}
