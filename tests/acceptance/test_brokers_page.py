"""The page on brokers is run: its entries replace the built-in one's driver, and its request is sent."""

import json
import re
import shutil
from pathlib import Path

import pytest
from readme_lines import ROOT, Example, curl
from servers.nats import NatsServer
from servers.postgres import postgres_server
from servers.rabbitmq import RabbitServer
from servers.server import ServerProcess
from servers.valkey import ValkeyServer
from support import require, serving

from taskmill.application import BUILTIN, KINDS

PAGE = (ROOT / "docs" / "how-to" / "brokers.md").read_text()
DATABASE = re.compile(r"  - name: db\n(?:    .*\n)+")
POSTGRES = """  - name: db
    kind: db.sql.postgres
    url: ${env:DATABASE_URL}
"""
DRIVER = re.compile(r"  - name: queue_driver\n(?:    .*\n)+")


@pytest.mark.parametrize(
    ("name", "kind", "variable"),
    [
        ("nats", NatsServer, "NATS_URL"),
        ("redis", ValkeyServer, "REDIS_URL"),
        ("rabbitmq", RabbitServer, "RABBITMQ_URL"),
    ],
)
def test_the_entry_of_the_page_is_all_that_a_broker_takes(
    tmp_path: Path, name: str, kind: type[ServerProcess], variable: str
) -> None:
    server = kind(tmp_path / name)
    server.start()
    try:
        run_the_page(tmp_path, name, variable, server.url)
    finally:
        server.stop()


def test_the_entry_of_the_page_uses_the_database_as_a_queue(tmp_path: Path) -> None:
    with postgres_server() as server:
        run_the_page(tmp_path, "postgres: .*", "DATABASE_URL", server.url)


def run_the_page(tmp_path: Path, name: str, variable: str, url: str) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    entry = re.search(rf"```yaml\n# {name}\n((?s:.*?))```", PAGE)
    request = re.search(r"^(curl (?:.*\\\n)*.*)\n# → (.*)$", PAGE, re.M)
    assert entry
    assert request
    text, count = DRIVER.subn(entry[1], (BUILTIN / "_index.yaml").read_text())
    assert count == 1
    if "kind: queue.driver.postgres" in text:
        text, count = DATABASE.subn(POSTGRES, text)
        assert count == 1
    app = shutil.copytree(BUILTIN, tmp_path / "app")
    (app / "_index.yaml").write_text(text)
    with serving(tmp_path, str(app), env={variable: url}) as taskmill:
        example = Example(request[1], request[2])
        said = curl(example, taskmill.url)
        assert example.matches(said), said
        assert taskmill.ended(json.loads(said)["id"])["result"] == {"output": "BY WAY OF A BROKER"}
        assert taskmill.terminate() == 0
        assert "ERROR" not in taskmill.text()


def test_every_kind_of_driver_is_on_the_page() -> None:
    assert {kind for kind in KINDS if kind.startswith("queue.driver.")} == set(
        re.findall(r"`(queue\.driver\.\w+)`", PAGE)
    )
