"""An action's own `submit`, the client that it uses, and clients after a fork."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from support import Server, serving

from taskmill import action
from taskmill.client import AddressError, Client, configure
from taskmill.tasks.actions.action import ActionError

SOURCE = """
from dataclasses import dataclass
from datetime import date

@dataclass
class Item:
    name: str
    price: float = 1.0

@action(inline=True)
def cheapest(items: list[Item], delay: str = "none") -> Item:
    return min(items, key=lambda item: item.price)

@action
async def tomorrow(day: date) -> date:
    return date.fromordinal(day.toordinal() + 1)

@action(inline=True)
def count(numbers: list[int], /) -> int:
    return len(numbers)
"""
WAIT = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("default")
    with serving(directory, directory=application(directory / "app", SOURCE)) as running:
        yield running


@pytest.fixture(autouse=True)
def configured(server: Server) -> Iterator[None]:
    configure(server.url)
    yield
    configure()


def run(server: Server, script: str, tmp_path: Path, **env: str) -> str:
    """Run a script in a process of its own, where every warning is an error; return what it prints."""
    path = tmp_path / "script.py"
    path.write_text(script)
    shown = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", path],
        check=False, capture_output=True, text=True, timeout=60, cwd=tmp_path, env={**os.environ, **env},
    )  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, "")
    return shown.stdout


@pytest.fixture
def actions(server: Server, tmp_path: Path) -> str:
    """The head of a script that imports the actions as their application does."""
    (tmp_path / "shop.py").write_text("from taskmill import action\n" + SOURCE)
    return "from shop import Item, cheapest, count, tomorrow\nfrom datetime import date\n"


def test_actions_are_submitted_by_their_own_signature(server: Server, actions: str, tmp_path: Path) -> None:
    script = """
handle = cheapest.with_options(priority=5, tags=["x"], delay=0.01).submit([Item("a", 2), Item("b")], delay="mine")
print(handle.result(20))
task = handle.get()
print(task.priority, task.tags, task.data["delay"], task.run_at is not None)
print(tomorrow.submit(day=date(2026, 12, 31)).result(20))
print(count.submit([1, 2, 3]).result(20))
"""
    assert run(server, actions + script, tmp_path, TASKMILL_URL=server.url).splitlines() == [
        "Item(name='b', price=1.0)", "5 ['x'] mine True", "2027-01-01", "3",
    ]  # fmt: skip


def test_on_a_loop_they_are_awaited_and_the_client_ends_with_it(
    server: Server, actions: str, tmp_path: Path
) -> None:
    script = f"""
import asyncio
from taskmill.client import configure
configure({server.url!r})

async def main():
    handles = await asyncio.gather(*(count.submit_async([1] * number) for number in range(5)))
    print([await handle.result(20) for handle in handles])
    print(await (await tomorrow.with_options(priority=1).submit_async(date(2026, 1, 1))).result(20))

for _ in range(2):
    asyncio.run(main())
"""
    assert run(server, actions + script, tmp_path).splitlines() == ["[0, 1, 2, 3, 4]", "2026-01-02"] * 2


def test_a_fork_leaves_the_connections_to_its_parent(server: Server, actions: str, tmp_path: Path) -> None:
    script = """
import os
from taskmill.client import Client
client = Client()
client.queues()
child = os.fork()
names = {client.submit("count", [number] * (9 if child else 8)).id for number in range(50)}
results = {client.result(name, 20) for name in names}
if not child:
    os._exit(0 if results == {8} else 1)
print(len(names), results, os.waitpid(child, 0)[1])
"""
    assert run(server, script, tmp_path, TASKMILL_URL=server.url) == "50 {9} 0\n"


@action(inline=True)
def greet(name: str) -> str:
    return name


@action(name="*", inline=True)
def anything(data: object, /) -> str:
    return str(data)


def test_what_cannot_be_submitted_is_said() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'name'"):
        greet.submit()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no option of a task is called `dely`"):
        greet.with_options(dely=5).submit("x")  # type: ignore[call-arg]
    with pytest.raises(ActionError, match=r"write client\.submit\(name, data\)"):
        anything.submit({"a": 1})


def test_a_loop_is_not_held_up() -> None:
    async def inside() -> None:
        greet.submit("x")

    with pytest.raises(RuntimeError, match=r"await ….submit_async\(…\)"):
        asyncio.run(inside())


def test_a_wrong_address_is_refused_when_it_is_given() -> None:
    for url in (
        "ftp://x",
        "http://",
        "http://x:port",
        "http://x:0",
        "http://user@x",
        "http://a b",
        "http://ä",
    ):
        with pytest.raises(AddressError, match="write http://HOST:PORT"):
            configure(url)
        with pytest.raises(ValueError, match="is no address of a server"):
            Client(url)
    assert Client("[::1]:81/x/").url == "http://[::1]:81/x"
    with pytest.raises(ValueError, match="`connections` at least 1"):
        configure(connections=0)
