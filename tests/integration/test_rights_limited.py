"""Keys for some queues and actions, and keys that see runs but nothing of what is in them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from apps import application
from external import declare
from secured import GUARDED, bearer, make_key
from support import Answer, Server, eventually, serving

ACTIONS = """
from taskmill import current_task

@action(inline=True, index=["data.text"])
def mine(text: str) -> str:
    return text

@action(inline=True)
def other(text: str) -> str:
    return text

@action(inline=True, max_attempts=1)
def fails(secret: str) -> None:
    current_task().progress(1, 2, "at " + secret)
    raise ValueError("said " + secret)

@action
async def slow() -> None:
    await asyncio.sleep(60)
"""
WEBHOOKS = """
  - {name: told, kind: task.webhooks, tasks: tasks, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
"""
NOWHERE = "01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11"


@dataclass
class World:
    server: Server
    admin: str
    mine: str
    observer: str
    submitter: str
    here: str

    def ask(self, key: str, method: str, path: str, body: object = None) -> Answer:
        return self.server.request(method, path, body, bearer(key))

    def submit(self, action: str, data: object) -> str:
        answer = self.ask(self.admin, "POST", "/tasks", {"action": action, "data": data})
        assert answer.status == 202
        return str(answer.json()["id"])

    def ended(self, id_: str) -> bool:
        task = self.ask(self.admin, "GET", f"/tasks/{id_}?wait=20").json()
        return task["status"] in ("completed", "failed")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("limited")
    declare(application(data / "app", ACTIONS), WEBHOOKS)
    keys = (
        make_key(data, "admin"),
        make_key(data, "submit", "read", "work", actions=["mine"]),
        make_key(data, "observe"),
        make_key(data, "submit"),
        make_key(data, "submit", "read", "work", queues=["elsewhere", "tasks"]),
    )
    with serving(data, "-o", GUARDED, directory=data / "app") as server:
        yield World(server, *keys)


def test_a_limited_key_submits_its_own_actions(world: World) -> None:
    own, foreign = ({"action": name, "data": {"text": "x"}} for name in ("mine", "other"))
    assert world.ask(world.mine, "POST", "/tasks", own).status == 202
    refused = world.ask(world.mine, "POST", "/tasks", foreign)
    assert refused.status == 403
    assert refused.json()["errors"] == [{"path": "action", "message": "this key is for mine alone"}]
    assert world.ask(world.mine, "POST", "/tasks", {"action": "none"}).status == 400
    assert world.ask(world.mine, "POST", "/tasks/bulk", {"tasks": [own, own]}).status == 202
    assert world.ask(world.mine, "POST", "/tasks/bulk", {"tasks": [own, foreign]}).status == 400
    lines = b'{"action": "mine", "data": {"text": "x"}}\n{"action": "other", "data": {"text": "x"}}\n'
    headers = {**bearer(world.mine), "Content-Type": "application/x-ndjson"}
    first, second = world.server.request("POST", "/tasks/bulk", lines, headers).body.splitlines()
    assert b'"id"' in first
    assert b"this key is for mine alone" in second


def test_anothers_task_and_a_missing_one_are_answered_alike(world: World) -> None:
    own, foreign = world.submit("mine", {"text": "x"}), world.submit("other", {"text": "x"})
    running = world.submit("slow", {})
    assert world.ask(world.mine, "GET", f"/tasks/{own}").status == 200
    assert world.ask(world.mine, "GET", f"/tasks/{own}?wait=20").json()["status"] == "completed"
    for path in ("/tasks/{}", "/tasks/{}?wait=30"):
        missing = world.ask(world.mine, "GET", path.format(NOWHERE))
        for id_ in (foreign, running):  # at once, too: the time limit of a request is shorter than the wait
            answer = world.ask(world.mine, "GET", path.format(id_))
            assert (answer.status, answer.body) == (404, missing.body)
    for verb in ("cancel", "retry", "complete", "heartbeat"):
        body = {"lease": "0" * 32} if verb in ("complete", "heartbeat") else None
        missing = world.ask(world.mine, "POST", f"/tasks/{NOWHERE}/{verb}", body)
        answer = world.ask(world.mine, "POST", f"/tasks/{running}/{verb}", body)
        assert (answer.status, answer.body) == (404, missing.body)
    assert world.ask(world.admin, "GET", f"/tasks/{running}").json()["status"] != "cancelled"


def test_a_limited_key_lists_its_own_tasks(world: World) -> None:
    assert world.ended(world.submit("mine", {"text": "x"}))
    assert world.ended(world.submit("other", {"text": "x"}))
    page = world.ask(world.mine, "GET", "/tasks").json()
    assert {task["action"] for task in page["tasks"]} == {"mine"}
    assert world.ask(world.mine, "GET", "/tasks?action=other").status == 403
    assert world.ask(world.here, "GET", "/tasks").status == 400  # two queues: one must be named
    assert world.ask(world.here, "GET", "/tasks?queue=tasks").json()["count"] > 0


def test_a_limited_key_claims_its_own_queues(world: World) -> None:
    claim = {"worker": "w", "actions": ["other"]}
    assert world.ask(world.mine, "POST", "/queues/tasks/claim", claim).status == 403
    assert world.ask(world.here, "POST", "/queues/tasks/claim", {"worker": "w"}).status == 200


@pytest.mark.parametrize("path", ["/queues", "/nodes", "/move", f"/tasks/{NOWHERE}/why"])
def test_a_limited_key_is_refused_where_all_is_shown(world: World, path: str) -> None:
    answer = world.ask(world.mine, "GET", path)
    assert answer.status == 403


def test_an_observer_sees_runs_but_nothing_of_what_is_in_them(world: World) -> None:
    id_ = world.submit("fails", {"secret": "hush-hush"})
    eventually(lambda: world.ended(id_))
    whole = world.ask(world.admin, "GET", f"/tasks/{id_}").body
    assert b"said hush-hush" in whole
    assert b"at hush-hush" in whole
    assert world.ask(world.observer, "GET", f"/tasks/{id_}/log").status == 403
    for path in (
        f"/tasks/{id_}",
        f"/tasks/{id_}?wait=5",
        "/tasks",
        "/tasks?action=fails",
        f"/tasks/{id_}/why",
    ):
        answer = world.ask(world.observer, "GET", path)
        assert answer.status == 200
        assert b"hush-hush" not in answer.body
    assert world.ask(world.observer, "GET", "/tasks?action=mine&data.text=x").status == 403
    assert world.ask(world.mine, "GET", "/tasks?data.text=x").status == 200
    task = world.ask(world.observer, "GET", f"/tasks/{id_}").json()
    assert (task["status"], task["error"]["type"], task["data"]) == ("failed", "ValueError", None)
    assert task["attempts"][0]["error"]["message"] == "not shown to this key"


def test_hidden_fields_are_for_admins(world: World) -> None:
    id_ = world.submit("mine", {"text": "x"})
    assert world.ask(world.mine, "GET", f"/tasks/{id_}/capsule").status == 200
    answer = world.ask(world.mine, "GET", f"/tasks/{id_}/capsule?secrets=true")
    assert (answer.status, "`admin`" in answer.json()["detail"]) == (403, True)
    assert world.ask(world.admin, "GET", f"/tasks/{id_}/capsule?secrets=true").status == 200


def test_a_submitter_sees_nothing_by_retrying(world: World) -> None:
    id_ = world.submit("fails", {"secret": "hush-hush"})
    eventually(lambda: world.ended(id_))
    answer = world.ask(world.submitter, "POST", f"/tasks/{id_}/retry")
    assert answer.status == 200
    assert b"hush-hush" not in answer.body


def test_a_submitter_has_nothing_told_elsewhere(world: World) -> None:
    body = {"action": "mine", "data": {"text": "x"}, "delay": 600, "callback": "https://example.com/"}
    escaped = json.dumps(body).replace("callback", "c\\u0061llback").encode()
    last = {name: body[name] for name in ("action", "data", "callback")}
    for path, asked, status in (
        ("/tasks", body, 403),
        ("/tasks", escaped, 403),
        ("/tasks/bulk", {"tasks": [body]}, 400),
        ("/batches", {"tasks": [body]}, 400),
        ("/batches", {"tasks": [], "on_complete": last}, 403),
    ):
        answer = world.ask(world.submitter, "POST", path, asked)
        assert (answer.status, b"it would be told the task's data" in answer.body) == (status, True), (
            answer.body
        )
        assert world.ask(world.admin, "POST", path, asked).status != 403, "it may read, too"
