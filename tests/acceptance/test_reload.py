"""`taskmill run --reload`: what is changed is live at once, what is broken is named, and nobody is turned away."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import HEADER, application
from support import Server, eventually, serving

ACTIONS = """
from words import GREETING

@action(inline=True)
def greet() -> str:
    return GREETING

@action
def compute() -> str:
    return GREETING

@action(max_attempts=1)
async def linger(until: str) -> str:
    while not os.path.exists(until):
        await asyncio.sleep(0.01)
    return GREETING
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    directory = application(tmp_path / "app", ACTIONS)
    write(directory, "zero")
    return directory


@pytest.fixture
def server(app: Path, tmp_path: Path) -> Iterator[Server]:
    data = tmp_path / "state"
    data.mkdir()
    with serving(data, str(app), "--reload", "--log-format", "text") as running:
        yield running


def write(app: Path, greeting: str) -> None:
    (app / "words.py").write_text(f'GREETING = "{greeting}"\n')


def said(server: Server, text: str) -> int:
    return sum(text in line for line in server.log)


def output(server: Server, action: str) -> object:
    return server.ended(server.submit(action))["result"]["output"]


def live(server: Server, action: str, greeting: str, timeout: float = 20.0) -> None:
    eventually(lambda: output(server, action) == greeting, timeout)


def test_a_change_is_live_in_a_moment(server: Server, app: Path) -> None:
    assert output(server, "compute") == "zero"
    seconds = []
    for greeting in (
        "once",
        "more",
        "next",
    ):  # of one length, in one second: no compiled file is taken for it
        began = time.monotonic()
        write(app, greeting)
        live(server, "greet", greeting)
        seconds.append(time.monotonic() - began)
        live(server, "compute", greeting)
    print(f"live after {', '.join(f'{one:.2f}' for one in seconds)} s")
    assert min(seconds) < 3.0  # half a second on a machine that does nothing else
    index = app / "_index.yaml"
    index.write_text(index.read_text().replace("path: /healthz", "path: /alive"))
    eventually(lambda: server.get("/alive").status == 200, 20)
    assert said(server, "words.py changed: loading anew") == 3
    assert said(server, "_index.yaml changed: loading anew") == 1
    assert server.terminate() == 0


LINES = (HEADER + ACTIONS).count("\n")
BROKEN = {
    "syntax": ("actions.py", "\ndef oops(\n", f"actions.py:{LINES + 2}: '(' was never closed"),
    "import": ("words.py", "\nboom\n", "words.py:3: NameError: name 'boom' is not defined"),
    "twice": (
        "actions.py",
        "\n@action(name='greet')\ndef b() -> None: ...\n",
        "two actions are named `greet`",
    ),
    "registry": (
        "_index.yaml",
        "\n  - name: x\n    kind: queue.quue\n",
        "unknown kind `queue.quue`; did you mean",
    ),
}


def test_what_is_broken_is_named_and_what_ran_goes_on(server: Server, app: Path) -> None:
    for name, (file, text, message) in BROKEN.items():
        good = (app / file).read_text()
        before = said(server, "not loaded, and what runs goes on")
        (app / file).write_text(good + text)
        eventually(lambda before=before: said(server, "not loaded, and what runs goes on") > before, 20)  # type: ignore[misc]
        eventually(lambda message=message: said(server, message), 20)  # type: ignore[misc]
        if name != "twice":
            assert said(server, f"{app / file}:"), name
        assert output(server, "greet") == "zero", name
        assert output(server, "compute") == "zero", name
        reloaded = said(server, "INFO    reloaded")
        (app / file).write_text(good)  # what is right again is loaded, though it is what runs
        eventually(lambda reloaded=reloaded: said(server, "INFO    reloaded") > reloaded, 20)  # type: ignore[misc]
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "reload.md").read_text()
    shown = [line[9:] for line in server.log if "NameError" in line or "ERROR   not loaded" in line][:1]
    assert shown
    assert shown[0] in page
    index = app / "_index.yaml"
    good = index.read_text()
    index.write_text(good.replace("file: tasks.db", "file: /proc/none/tasks.db"))
    eventually(lambda: said(server, "not reloaded: what ran before goes on"), 20)
    assert said(server, "entry app:db did not start: /proc/none cannot be written")
    assert output(server, "greet") == "zero"
    index.write_text(good)
    write(app, "mended")
    live(server, "greet", "mended")


def test_what_no_module_is_made_of_changes_nothing(server: Server, app: Path) -> None:
    (app / "test_actions.py").write_text("boom")
    (app / "notes.txt").write_text("x")
    write(app, "after")
    live(server, "greet", "after")
    assert said(server, "words.py changed: loading anew") == said(server, "loading anew") == 1


def test_nobody_is_turned_away_and_nothing_is_lost(server: Server, app: Path, tmp_path: Path) -> None:
    """While it reloads thrice: new connections all the time, tasks that wait, and one that runs."""
    door = tmp_path / "door"
    lingering = server.submit("linger", {"until": str(door)})
    eventually(lambda: server.get(f"/tasks/{lingering}").json()["status"] == "running", 20)
    ids: list[str] = []
    errors: list[BaseException] = []
    enough = threading.Event()

    def submit() -> None:
        while not enough.is_set():
            try:
                ids.append(server.submit("greet"))
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        write(app, "first")
        eventually(lambda: said(server, "loading anew"), 20)
        count = len(ids)
        eventually(lambda: len(ids) > count + 20, 20)  # requests are answered while it waits for what runs
        assert said(server, "INFO    reloaded") == 0
        door.touch()
        for number in range(1, 4):
            eventually(lambda number=number: said(server, "INFO    reloaded") == number, 30)  # type: ignore[misc]
            count = len(ids)
            eventually(lambda count=count: len(ids) > count + 20 or errors, 20)  # type: ignore[misc]
            if number < 3:
                write(app, f"again {number}")
    finally:
        enough.set()
        for thread in threads:
            thread.join(20)
    assert errors == []
    task = server.ended(lingering)
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 1, {"output": "zero"})
    results = {server.ended(id_)["result"]["output"] for id_ in ids}
    assert results >= {"zero", "first"}
    assert server.terminate() == 0
