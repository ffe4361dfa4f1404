"""``/openapi.json`` of running applications: valid, whole, and with the actions' data by name."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from apps import application
from openapi_spec_validator import validate
from support import Server, serving

from taskmill import application as applications
from taskmill.http import Served
from taskmill.process.source import load_attribute
from taskmill.tasks.openapi.actions import PRINTABLE

ACTIONS = """
from dataclasses import dataclass
import msgspec

class Task(msgspec.Struct, forbid_unknown_fields=True):
    title: str

@dataclass
class Place:
    street: str

@action(inline=True)
def remember(task: Task, at: Place | None = None) -> str:
    \"\"\"Keep a note.\"\"\"
    return task.title

@action(name="two words", inline=True)
def two() -> int:
    return 2

@action(name="two/words", inline=True)
def other_two(count: int = 2) -> int:
    return count

@action(name="whole", inline=True)
def whole(task: Task, /) -> str:
    return task.title
"""
OWN = """
  - name: mine
    kind: function.python
    source: file://actions.py
    method: mine

  - name: mine.endpoint
    kind: http.endpoint
    meta: {router: router}
    path: /mine/{colour}
    func: mine
"""


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with serving(tmp_path_factory.mktemp("builtin")) as server:
        yield fetched(server)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("own")
    app = application(
        directory / "app", ACTIONS + "\nasync def mine(request) -> Task:\n    return Task('x')\n"
    )
    (app / "_index.yaml").write_text((app / "_index.yaml").read_text() + OWN)
    with serving(directory, str(app)) as server:
        yield server


def fetched(server: Server) -> dict[str, Any]:
    answer = server.get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    made: dict[str, Any] = answer.json()
    validate(made)
    return made


def operations(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in made["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def validator(made: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "components": made["components"]})


def test_every_endpoint_of_the_builtin_application_is_in_it_and_nothing_else(builtin: dict[str, Any]) -> None:
    entries = applications.read(applications.BUILTIN).entries.values()
    declared = {
        (entry.config.method, entry.config.path) for entry in entries if entry.kind == "http.endpoint"
    }
    assert {(method, path) for method, path, _ in operations(builtin)} == declared


def test_every_endpoint_of_the_builtin_application_says_what_it_does() -> None:
    registry = applications.read(applications.BUILTIN)
    for entry in registry.entries.values():
        if entry.kind == "http.endpoint":
            function = registry.entries[entry.config.func]
            loaded = load_attribute(function.config.source, function.config.method, function.directory)
            operation = Served(entry.id, entry.config.method, entry.config.path, loaded).operation
            assert operation is not None, f"{entry.id}: decorate {loaded.__name__} with an `Operation`"
            assert operation.summary
            assert operation.tag
            assert operation.answers
            assert set(operation.path) == set(re.findall(r"{(\w+)}", entry.config.path)), entry.id


def test_examples_are_what_their_schemas_allow(builtin: dict[str, Any]) -> None:
    count = 0
    for _, _, operation in operations(builtin):
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (one for holder in contents for one in holder.get("content", {}).values()):
            values = [one["value"] for one in content.get("examples", {}).values()]
            values += [content["example"]] if "example" in content else []
            for value in values:
                validator(builtin, content["schema"]).validate(value)
                count += 1
    assert count > 30


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"action": "uppercase"}, True),
        ({"action": "uppercase", "data": {"text": "a"}, "priority": 9, "queue": None}, True),
        ({"action": "uppercase", "data": {"text": 1}}, False),
        ({"action": "uppercase", "data": {"txt": "a"}}, False),
        ({"action": "anything", "data": [1, None]}, True),
        ({"action": "uppercase", "delay": 1, "run_at": "2026-01-01T00:00:00Z"}, False),
        ({"action": "uppercase", "delay": 1, "run_at": None}, True),
        ({"action": "uppercase", "queue": "nowhere"}, False),
        ({"action": "uppercase", "prioritee": 1}, False),
        ({"data": {}}, False),
    ],
)
def test_a_submission_is_a_choice_among_the_actions(
    builtin: dict[str, Any], body: dict[str, Any], valid: bool
) -> None:
    operation = builtin["paths"]["/tasks"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert validator(builtin, schema).is_valid(body) is valid


def test_no_name_that_the_pattern_forbids_would_be_accepted() -> None:
    forbidden = [chr(code) for code in range(0x11000) if not re.match(PRINTABLE, chr(code))]
    assert len(forbidden) > 80
    assert not [character for character in forbidden if character.isprintable()]


def test_what_can_be_asked_of_a_new_task_is_linked(builtin: dict[str, Any]) -> None:
    links = builtin["paths"]["/tasks"]["post"]["responses"]["202"]["links"]
    assert links["get_task"] == {
        "operationId": "get_task",
        "parameters": {"id": "$response.body#/id"},
        "description": "The task, and its result once it has ended.",
    }
    assert {"get_task", "cancel_task", "retry_task", "why_task"} == links.keys()


def test_actions_of_an_application_are_there_by_name_whatever_they_are_called(own: Server) -> None:
    made = fetched(own)
    schemas = made["components"]["schemas"]
    assert schemas["remember_data"]["required"] == ["task"]
    assert schemas["remember_data"]["description"] == "Keep a note."
    assert schemas["two_words_data"]["properties"] == {}
    assert schemas["two_words_2_data"]["properties"]["count"]["type"] == "integer"
    (task,) = [one["$ref"].rpartition("/")[2] for one in [schemas["remember_data"]["properties"]["task"]]]
    assert schemas["whole_data"]["$ref"].rpartition("/")[2] == task
    assert list(schemas[task]["properties"]) == ["title"], "not the API's own Task"
    mapping = schemas["Submission"]["discriminator"]["mapping"]
    assert list(mapping) == ["remember", "two words", "two/words", "whole"]
    submission = made["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]
    assert "examples" not in submission, "those of actions that this application has not"
    allowed = validator(made, submission["schema"])
    assert allowed.is_valid({"action": "two words"})
    assert not allowed.is_valid({"action": "remember"}), "its data must be there"
    assert not allowed.is_valid({"action": "uppercase", "data": {}})
    assert own.request("POST", "/tasks", {"action": "remember"}).status == 400


def test_an_endpoint_of_an_application_is_there_with_what_is_known(own: Server) -> None:
    operation = fetched(own)["paths"]["/mine/{colour}"]["get"]
    assert operation["operationId"] == "mine"
    assert operation["parameters"][0]["name"] == "colour"
    assert "$ref" in operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert own.get("/mine/red").json() == {"title": "x"}


def test_the_command_prints_the_same_without_a_server(builtin: dict[str, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "taskmill", "openapi"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout) == builtin
    assert list(tmp_path.iterdir()) == [], "nothing was started"


def test_the_command_asks_which_server(tmp_path: Path) -> None:
    app = application(tmp_path / "app", ACTIONS)
    more = "\n  - {name: second, kind: http.service, addr: '127.0.0.1:0'}\n"
    (app / "_index.yaml").write_text((app / "_index.yaml").read_text() + more)
    command = [sys.executable, "-m", "taskmill", "openapi", str(app)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 2
    assert refused.stderr == "say which server with `--server ENTRY`; there is: app:gateway, app:second\n"
    second = subprocess.run([*command, "--server", "app:second"], capture_output=True, check=True, timeout=60)
    assert json.loads(second.stdout)["paths"] == {}


def test_parameters_of_a_direct_route_are_refused(own: Server) -> None:
    answer = own.request("POST", "/tasks?priority=9", {"action": "two words"})
    assert answer.status == 400
    assert answer.json()["errors"] == [{"path": "priority", "message": "unknown parameter; known are none"}]
