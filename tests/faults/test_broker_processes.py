"""Several processes of one application at one queue of a broker, one of them killed while it works."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from broker_load import REST
from brokers import BROKERS, Broker
from support import Server, eventually

from taskmill.queue import Message

pytestmark = pytest.mark.fault

COUNT = 300

DRIVERS = {
    "nats": "kind: queue.driver.nats, url: 'nats://127.0.0.1:{port}', ack_wait: 2s",
    "valkey": "kind: queue.driver.redis, url: 'redis://127.0.0.1:{port}/0', lease: 2s",
}

REGISTRY = """
version: "1.0"
namespace: app
entries:
  - {{name: driver, {driver}}}
  - {{name: work, kind: queue.queue, driver: driver}}
  - {{name: handle, kind: function.python, source: file://handle.py, method: handle}}
  - {{name: consumer, kind: queue.consumer, queue: work, func: handle, concurrency: 4, prefetch: 8}}
  - {{name: gateway, kind: http.service, addr: "127.0.0.1:0"}}
"""

HANDLE = """
import os, time

def handle(data):
    time.sleep(0.02)
    with open(os.environ["HANDLED"], "a") as file:
        file.write(f"{data} {os.getpid()}\\n")
    return True
"""


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = BROKERS[request.param](tmp_path)
    made.server.start()
    app = tmp_path / "app"
    app.mkdir()
    (app / "_index.yaml").write_text(
        REGISTRY.format(driver=DRIVERS[request.param].format(port=made.server.port))
    )
    (app / "handle.py").write_text(HANDLE)
    yield made
    made.server.stop()


async def publish(broker: Broker) -> None:
    driver = broker.driver()
    await driver.start()
    channel = driver.open("work", lambda _: REST)
    for start in range(0, COUNT, 50):
        await channel.publish([Message(f"id-{i}", str(i)) for i in range(start, start + 50)])
    await driver.stop()


def test_three_processes_share_the_work_and_one_that_is_killed_loses_nothing(
    broker: Broker, tmp_path: Path
) -> None:
    file = tmp_path / "handled"
    file.touch()

    def handled() -> Counter[str]:
        return Counter(line.split()[0] for line in file.read_text().splitlines())

    def node(stack: ExitStack, number: int) -> Server:
        data = tmp_path / f"data-{number}"
        data.mkdir()
        arguments = [str(tmp_path / "app"), "-o", "app:gateway:addr=127.0.0.1:0"]
        server = Server(["--data", str(data), *arguments], tmp_path, {"HANDLED": str(file)})
        stack.callback(server.close)
        return server.wait_ready()

    with ExitStack() as stack:
        nodes = [node(stack, number) for number in range(3)]
        asyncio.run(asyncio.wait_for(publish(broker), 30))
        eventually(lambda: len(handled()) > COUNT / 4, 30)
        nodes[0].kill()
        eventually(lambda: len(handled()) == COUNT, 60)
        pids = {line.split()[1] for line in file.read_text().splitlines()}
        twice = sum(1 for count in handled().values() if count > 1)
        print(
            f"published {COUNT}, handled {len(handled())}, more than once {twice}, by {len(pids)} processes, lost 0"
        )
        assert len(pids) == 3
        assert twice <= 12, "no more than the killed one held"
        for server in nodes[1:]:
            assert server.terminate() == 0
            assert "ERROR" not in server.text()
