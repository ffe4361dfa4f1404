"""What is missing is named with its mend, and an address is shown without its secrets."""

import subprocess
import sys
from pathlib import Path

import pytest
from parts import entry as component

from taskmill import application
from taskmill.queue import AmqpDriver, NatsDriver, QueueError, RedisDriver
from taskmill.queue.drivers.amqp import AmqpConfig
from taskmill.queue.drivers.library import library, shown
from taskmill.queue.drivers.nats import NatsConfig
from taskmill.queue.drivers.redis import RedisConfig
from taskmill.queue.drivers.tls import Tls
from taskmill.registry import RegistryError


@pytest.mark.parametrize(("missing", "kind", "config", "extra"), [
    ("nats", NatsDriver, NatsConfig(name="d", kind="k", url="nats://x"), "nats"),
    ("redis", RedisDriver, RedisConfig(name="d", kind="k", url="redis://x"), "redis"),
    ("aiormq", AmqpDriver, AmqpConfig(name="d", kind="k", url="amqp://x"), "amqp"),
])  # fmt: skip
def test_a_missing_client_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str, kind: type, config: object, extra: str
) -> None:
    import asyncio

    for module in [name for name in sys.modules if name.split(".")[0] == missing or f"{extra}_" in name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    for part in ("aio", "aio.client", "asyncio"):
        monkeypatch.setitem(sys.modules, f"{missing}.{part}", None)
    with pytest.raises(QueueError) as told:
        asyncio.run(component(kind, config).start())
    assert str(told.value).endswith(f'pip install "taskmill[{extra}]"')


def test_a_module_of_ones_own_that_is_missing_is_not_taken_for_a_library() -> None:
    with pytest.raises(QueueError, match="it takes `no_such_module`"):
        library("no_such_module", "nats")
    with pytest.raises(ModuleNotFoundError):
        library("taskmill.queue.drivers.no_such_module", "nats")


def test_no_client_library_is_imported_where_its_kind_is_not_used() -> None:
    code = (
        "import sys, taskmill.application; print({'nats', 'redis', 'aiormq', 'psycopg'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(("url", "text"), [
    ("nats://app:secret@broker:4222", "nats://broker:4222"),
    ("nats://token@broker", "nats://broker"),
    ("app:secret@broker:4222", "broker:4222"),
    ("rediss://:s@cr@t@broker:6379/2?password=secret", "rediss://broker:6379/2"),
    ("redis://app:se/cret@broker:6379/0", "redis://broker:6379/0"),
    ("redis://app:se?cret@broker:6379/0", "redis://…"),
    ("redis://broker/0?password=se@cret", "redis://…"),
    ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
])  # fmt: skip
def test_an_address_is_shown_without_its_secrets(url: str, text: str) -> None:
    assert shown(url) == text


@pytest.mark.parametrize(("kind", "url"), [
    ("nats", "http://app:secret@broker"),
    ("nats", "nats://app:secret@broker:port"),
    ("nats", "nats://broker, nats://app:secret@"),
    ("redis", "app:secret@broker:6379"),
    ("redis", "redis://app:se/cret@broker"),
    ("redis", ""),
    ("amqp", "amqp://app:se/cret@broker"),
    ("amqp", "amqp://one, http://app:secret@broker"),
])  # fmt: skip
def test_an_address_that_is_none_is_a_mistake_that_shows_no_secret(
    tmp_path: Path, kind: str, url: str
) -> None:
    entry = f"- {{name: driver, kind: queue.driver.{kind}, url: '{url}'}}"
    (tmp_path / "_index.yaml").write_text(f"version: '1.0'\nnamespace: app\nentries:\n  {entry}\n")
    with pytest.raises(RegistryError, match=r"entry app:driver: field `url`: write `") as told:
        application.read(tmp_path)
    assert "cret" not in str(told.value)


def test_certificates_for_an_address_that_is_not_encrypted_are_a_mistake(tmp_path: Path) -> None:
    entry = "- {name: driver, kind: queue.driver.redis, url: 'redis://x', tls: {ca: x.pem}}"
    (tmp_path / "_index.yaml").write_text(f"version: '1.0'\nnamespace: app\nentries:\n  {entry}\n")
    with pytest.raises(RegistryError, match=r"field `tls`: takes a `url` that begins with `rediss://`"):
        application.read(tmp_path)


@pytest.mark.parametrize(("kind", "url"), [
    ("nats", "nats://one:4222, tls://app:secret@two"),
    ("nats", "nats://token@broker"),
    ("redis", "rediss://:secret@broker/3"),
    ("redis", "unix:///run/redis.sock"),
    ("amqp", "amqp://one, amqps://app:secret@two/%2fvhost"),
])  # fmt: skip
def test_an_address_that_is_one_is_taken(tmp_path: Path, kind: str, url: str) -> None:
    entry = f"- {{name: driver, kind: queue.driver.{kind}, url: '{url}'}}"
    (tmp_path / "_index.yaml").write_text(f"version: '1.0'\nnamespace: app\nentries:\n  {entry}\n")
    assert application.read(tmp_path).start_order()


def test_files_of_tls_that_do_not_serve_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(QueueError, match=r"ca\.pem"):
        Tls(ca=str(missing)).context()
