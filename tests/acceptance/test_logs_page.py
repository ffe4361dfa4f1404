"""The page on logs is followed, and every way in which an action runs logs its task."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from readme_lines import ROOT, Example, curl
from secured import bearer, make_keys
from support import Server, eventually, serving

PAGE = (ROOT / "docs" / "how-to" / "logs.md").read_text()
ACTIONS = """
import logging
from taskmill import current_task
other = logging.getLogger("library")

@action(inline=True)
def quick(note: str) -> None:
    other.info("seen %s", note)

@action
async def waits(note: str) -> None:
    await asyncio.sleep(0)
    await asyncio.to_thread(other.info, "seen %s", note)

@action
def apart(note: str) -> str:
    other.info("seen %s", note)
    return current_task().action

@action(name="*")
def anything(data: Any = None, /) -> str:
    other.warning("seen \\x1b[31m%s", data["note"])
    return current_task().action

@action(batch=10, batch_wait="10ms")
def together(items: list[dict[str, str]]) -> list[str]:
    for item in items:
        other.info("seen %s", item["note"])
    return ["ok"] * len(items)

@action(max_attempts=2, backoff="1ms")
def fails(note: str) -> None:
    try:
        raise ValueError(note)
    except ValueError:
        other.exception("seen %s", note)
        raise
"""


LOOK = """
@action(inline=True)
def look() -> list[str]:
    return [name for name in sys.modules if name.startswith("opentelemetry")]

@action
def look_apart() -> list[str]:
    return [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def blocks(language: str) -> list[str]:
    return [str(found) for found in re.findall(rf"```{language}\n(.*?)\n```", PAGE, re.S)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[tuple[Server, dict[str, str]]]:
    shop, own = blocks("python")
    app = application(
        place / "app", "\n".join([ACTIONS, LOOK, shop, own.replace("shop.log", str(place / "shop.log"))])
    )
    index = (app / "_index.yaml").read_text()
    index += "\n  - name: request_ids\n    kind: http.middleware.request_id\n"
    gateway = "kind: http.service\n    addr: 127.0.0.1:8080\n"
    assert gateway in index
    assert gateway in blocks("yaml")[0] + "\n"
    index = index.replace(gateway, gateway + "    access_log: true\n")
    index = index.replace("server: gateway}\n", "server: gateway}\n    middleware: [request_ids, keys]\n", 1)
    (app / "_index.yaml").write_text(index)
    (command,) = re.findall(r"taskmill run (--log-.*)", blocks("bash")[0])
    keys = make_keys(place)
    with serving(place, *command.split(), directory=app) as running:
        yield running, keys


def records(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in list(server.log) if line.startswith("{")]


def with_message(server: Server, message: str) -> list[dict[str, Any]]:
    return [record for record in records(server) if record["message"] == message]


def submit(running: tuple[Server, dict[str, str]], action: str, note: str) -> dict[str, Any]:
    server, keys = running
    headers = {**bearer(keys["admin"]), "Prefer": "wait=20"}
    answer = server.request("POST", "/tasks", {"action": action, "data": {"note": note}}, headers, timeout=30)
    assert answer.status == 200, answer.body
    task: dict[str, Any] = answer.json()
    return task


@pytest.mark.parametrize("action", ["quick", "waits", "apart", "unheard", "together"])
def test_however_an_action_runs_its_records_name_the_task(
    server: tuple[Server, dict[str, str]], action: str
) -> None:
    task = submit(server, action, f"by {action}")
    seen = r"seen \x1b[31mby unheard" if action == "unheard" else f"seen by {action}"
    (record,) = eventually(lambda: with_message(server[0], seen))
    assert record["logger"] == "library"
    assert record["action"] == action
    if action == "together":
        assert record["tasks"] == [task["id"]]
    else:
        assert (record["task"], record["attempt"]) == (task["id"], 1)
    if action in ("apart", "unheard"):
        assert task["result"] == {"output": action}


def test_each_attempt_is_told_apart_and_its_error_is_a_field(server: tuple[Server, dict[str, str]]) -> None:
    task = submit(server, "fails", "twice")
    assert task["status"] == "failed"
    found = eventually(lambda: [one for one in [with_message(server[0], "seen twice")] if len(one) == 2])[0]
    assert [(one["task"], one["attempt"]) for one in found] == [(task["id"], 1), (task["id"], 2)]
    assert found[0]["exception"].endswith("ValueError: twice")


def test_the_page_is_followed(server: tuple[Server, dict[str, str]], place: Path) -> None:
    running, keys = server
    command, answer = re.findall(r"^(curl .*)\n# → (.*)$", PAGE, re.M)[0]
    example = Example(command.replace("curl", f"curl -H 'Authorization: Bearer {keys['admin']}'"), answer)
    said = curl(example, running.url)
    assert example.matches(said), said
    shown = Example("", blocks("json")[0])
    eventually(lambda: any(shown.matches(line) for line in list(running.log)))
    id_ = json.loads(said)["id"]
    assert eventually((place / "shop.log").read_text).endswith(f" [{id_}] charged\n")


def test_the_access_log_says_who_asked_for_what(server: tuple[Server, dict[str, str]]) -> None:
    running, keys = server
    shown = Example("", blocks("json")[1].removesuffix("}") + "…}")
    plain = running.request(
        "POST", "/tasks", {"action": "quick", "data": {"note": "x"}}, bearer(keys["submit"])
    )
    assert plain.status == 202
    headers = {**bearer(keys["read"]), "X-Request-ID": "shop-1"}
    running.request("GET", "/tasks?limit=1", None, headers)
    running.request("GET", "/tasks/a%1b%0ab", None, {**headers, "X-Request-ID": "shop-2"})
    running.request("GET", "/nothing?token=hidden", None, {"X-Request-ID": "shop-3"})
    running.request("POST", "/tasks", {"action": "quick"}, {"X-Request-ID": "shop-4"})

    def access(request: str) -> dict[str, Any] | None:
        found = [one for one in records(running) if one["logger"] == "taskmill.access"]
        return next((one for one in found if one.get("request") == request), None)

    listed = eventually(lambda: access("shop-1"))
    assert listed is not None
    fields = ("method", "path", "status", "client", "caller")
    assert [listed[name] for name in fields] == [
        "GET",
        "/tasks",
        200,
        "127.0.0.1",
        f"key {keys['read'][:11]}",
    ]
    assert listed["duration"] > 0
    odd = eventually(lambda: access("shop-2"))
    assert odd is not None
    assert (odd["path"], odd["status"]) == ("/tasks/a%1b%0ab", 404)
    refused = eventually(lambda: access("shop-4"))
    assert refused is not None
    assert (refused["method"], refused["path"], refused["status"]) == ("POST", "/tasks", 401)
    assert "caller" not in refused
    eventually(lambda: '"path":"/nothing","status":404' in running.text())
    eventually(lambda: any(shown.matches(line) for line in list(running.log)))
    assert "hidden" not in running.text()
    for key in keys.values():
        assert key not in running.text()


@pytest.mark.parametrize("action", ["look", "look_apart"])
def test_where_nothing_is_traced_nothing_is_imported_for_it(
    server: tuple[Server, dict[str, str]], action: str
) -> None:
    running, keys = server
    headers = {**bearer(keys["admin"]), "Prefer": "wait=20", "traceparent": f"00-{1:032x}-{1:016x}-01"}
    answer = running.request("POST", "/tasks", {"action": action}, headers, timeout=30)
    assert answer.json()["result"] == {"output": []}
