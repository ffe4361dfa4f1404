"""The page on brokers is run: its entries replace the built-in one's driver, and its request is sent."""

import re
import shutil
from pathlib import Path

import pytest
from readme_lines import ROOT, Example, curl
from servers.nats import NatsServer
from servers.server import ServerProcess
from servers.valkey import ValkeyServer
from support import require, serving

from taskmill.application import BUILTIN, KINDS

PAGE = (ROOT / "docs" / "how-to" / "brokers.md").read_text()
DRIVER = re.compile(r"  - name: queue_driver\n(?:    .*\n)+")


@pytest.mark.parametrize(
    ("name", "kind", "variable"), [("nats", NatsServer, "NATS_URL"), ("redis", ValkeyServer, "REDIS_URL")]
)
def test_the_entry_of_the_page_is_all_that_a_broker_takes(
    tmp_path: Path, name: str, kind: type[ServerProcess], variable: str
) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    entry = re.search(rf"```yaml\n# {name}\n(.*?)```", PAGE, re.S)
    request = re.search(r"^(curl (?:.*\\\n)*.*)\n# → (.*)$", PAGE, re.M)
    assert entry
    assert request
    text, count = DRIVER.subn(entry[1], (BUILTIN / "_index.yaml").read_text())
    assert count == 1
    app = shutil.copytree(BUILTIN, tmp_path / "app")
    (app / "_index.yaml").write_text(text)
    server = kind(tmp_path / name)
    server.start()
    try:
        with serving(tmp_path, str(app), env={variable: server.url}) as taskmill:
            example = Example(request[1], request[2])
            said = curl(example, taskmill.url)
            assert example.matches(said), said
            assert taskmill.terminate() == 0
            assert "ERROR" not in taskmill.text()
    finally:
        server.stop()


def test_every_kind_of_driver_is_on_the_page() -> None:
    assert {kind for kind in KINDS if kind.startswith("queue.driver.")} == set(
        re.findall(r"`(queue\.driver\.\w+)`", PAGE)
    )
