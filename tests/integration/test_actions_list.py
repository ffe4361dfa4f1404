"""`GET /actions`: schemas that accept what the server accepts, and the options as they are declared."""

from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from support import Server, serving

ACTIONS = '''
from dataclasses import dataclass

@dataclass
class Size:
    width: int
    height: int = 1

@action(queue="tasks", priority=5, max_attempts=7, timeout="1m", expires_in="2h", concurrency=3,
        rate_limit="3/10s", concurrency_key="data.name", over_limit="drop_newest", fair_key="data.name",
        index=["data.name"])
def resize(name: str, sizes: list[Size]) -> list[Size]:
    """Make pictures smaller."""
    return sizes

@action(name="b", inline=True)
def measure(size: Size, /) -> Size:
    return size

@action
async def untyped(number: int = 1):
    return object

@action(name="*", inline=True)
def anything(data: Any, /) -> str:
    return "processed"
'''


@pytest.fixture(scope="module")
def actions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    directory = tmp_path_factory.mktemp("actions")
    with serving(directory, directory=application(directory / "app", ACTIONS)) as server:
        listed = server.get("/actions").json()
        assert listed["count"] == 4
        yield {action["name"]: action for action in listed["actions"]}


def resolved(schema: dict[str, Any]) -> Any:
    """Follow the reference that a schema is."""
    return schema["$defs"][schema["$ref"].rpartition("/")[2]]


def test_each_has_its_name_and_what_it_does(actions: dict[str, Any]) -> None:
    assert list(actions) == ["b", "resize", "untyped", "*"]
    assert [action["description"] for action in actions.values()] == ["", "Make pictures smaller.", "", ""]


def test_the_data_is_described(actions: dict[str, Any]) -> None:
    data = resolved(actions["resize"]["data"])
    assert data["required"] == ["name", "sizes"]
    assert data["additionalProperties"] is False
    assert data["properties"]["name"] == {"type": "string"}
    assert resolved(actions["b"]["data"])["required"] == ["width"]
    assert resolved(actions["untyped"]["data"])["properties"]["number"] == {"type": "integer", "default": 1}
    assert actions["*"]["data"] == {}


def test_the_result_is_described(actions: dict[str, Any]) -> None:
    result = actions["resize"]["result"]
    assert result["required"] == ["output"]
    assert result["properties"]["output"] == {"type": "array", "items": {"$ref": "#/$defs/Size"}}
    assert result["$defs"]["Size"]["required"] == ["width"]
    assert resolved(actions["b"]["result"])["required"] == ["width"]
    assert actions["untyped"]["result"] == {}
    assert actions["*"]["result"]["properties"] == {"output": {"type": "string"}}


def test_the_options_are_as_declared(actions: dict[str, Any]) -> None:
    assert actions["resize"]["options"] == {
        "runs": "process", "queue": "tasks", "priority": 5, "max_attempts": 7, "timeout": 60, "expires_in": 7200,
        "concurrency": 3, "rate_limit": {"count": 3, "seconds": 10}, "concurrency_key": "data.name",
        "over_limit": "drop_newest", "fair_key": "data.name", "index": ["data.name"], "batch": None,
        "batch_wait": None,
    }  # fmt: skip
    assert [actions[name]["options"]["runs"] for name in ("b", "untyped")] == ["inline", "loop"]
    assert actions["b"]["options"]["rate_limit"] is None


def test_it_takes_no_parameters(server: Server) -> None:
    assert server.get("/actions?limit=3").status == 400
