"""Callbacks as they are declared: by actions, and where nothing says how they are sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from apps import application
from callbacks import ACTIONS, SECRET
from external import declare

from taskmill import action
from taskmill.application import read
from taskmill.http import BadRequest
from taskmill.openapi import describe_application
from taskmill.process.messages import FunctionRef
from taskmill.registry import RegistryError
from taskmill.supervisor import SupervisorError
from taskmill.tasks.actions.action import Action, ActionError
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.callback.asked import Callback, flaw
from taskmill.tasks.callback.connecting import connect
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.intake.submission import Submission

NOWHERE = FunctionRef("", "", "")


def made(**declared: Any) -> Action[Any, Any]:
    def one() -> None:
        pass

    return action(**declared)(one)


def test_an_action_names_a_url_or_a_mapping() -> None:
    assert made(callback="https://there/").options.callback == Callback("https://there/")
    both = {"url": "http://there:81/a?b", "events": ["task.failed"]}
    assert made(callback=both).options.callback == Callback("http://there:81/a?b", ["task.failed"])
    assert made().options.plain
    assert not made(callback="https://there/").options.plain, "a plain task has none stored beside it"


@pytest.mark.parametrize(
    "wrong",
    ["there", "ftp://there", 5, {"url": 5}, {"events": []}, {"url": "https://there", "events": ["end"]}],
)
def test_a_wrong_one_is_said_as_the_action_is_made(wrong: object) -> None:
    with pytest.raises(ActionError, match="action one: "):
        made(callback=wrong)


@pytest.mark.parametrize(
    "url", ["https://a", "http://a.b:8080/c?d=e", "https://[2001:db8::1]/", "HTTPS://A/%20"]
)
def test_a_good_url_has_no_flaw(url: str) -> None:
    assert flaw(url) == ""


def test_without_an_entry_that_sends_them_the_mend_is_named() -> None:
    placing = Placing(["tasks"], "tasks", 600)
    with pytest.raises(BadRequest, match=r"declare an entry of the kind `task\.webhooks`") as refused:
        placing.check(Submission(action="one", callback="https://there/"), Registered(made(), NOWHERE))
    assert refused.value.errors[0].path == "callback"
    catalog = Catalog()
    catalog.add(made(), NOWHERE)
    parts: Any = (placing, None, None, None)
    connect(None, catalog, *parts)
    other = Catalog()
    other.add(made(callback="https://there/"), NOWHERE)
    with pytest.raises(SupervisorError, match="action one has a `callback`: declare an entry"):
        connect(None, other, *parts)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("secret: short", "secret"), ("allow: [10.0.0.1/8]", "allow"), ("queues: {tasks: there}", "queues.tasks"),
        ("backoff: []", "backoff"),
    ],
)  # fmt: skip
def test_mistakes_of_the_entry_are_found_before_the_start(tmp_path: Path, wrong: str, field: str) -> None:
    given = wrong if wrong.startswith("secret") else f"secret: {SECRET}\n    {wrong}"
    directory = declare(
        application(tmp_path / "app", ""),
        f"\n  - name: one\n    kind: task.webhooks\n    tasks: tasks\n    {given}\n",
    )
    with pytest.raises(RegistryError, match=field):
        read(directory)


@pytest.mark.parametrize("told", [True, False])
def test_the_document_of_an_application_says_whether_ends_are_told(tmp_path: Path, told: bool) -> None:
    directory = application(tmp_path / "app", ACTIONS)
    if told:
        declare(directory, f"\n  - {{name: one, kind: task.webhooks, tasks: tasks, secret: {SECRET}}}\n")
    document = describe_application(read(directory))
    schemas = document["components"]["schemas"]
    assert ("webhooks" in document, '"callback"' in json.dumps(schemas), "Callback" in schemas) == (told,) * 3
