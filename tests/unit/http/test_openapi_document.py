"""What a document says of endpoints: of those that describe themselves, and of those that do not."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec
from openapi_spec_validator import validate
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http import Answer, Link, Operation, Schemas, Served, document, means, types_of


class Pet(msgspec.Struct):
    """A pet, as ``GET /pets/{name}`` shows it."""

    name: str
    age: Annotated[int, msgspec.Meta(ge=0), means("In years.")] | None = None
    colour: Annotated[str, means("Of its fur.", enum=["red", "black"])] | None = None


class Query(msgspec.Struct):
    """The parameters of a list."""

    owner: str
    limit: Annotated[int, msgspec.Meta(ge=1, le=10), means("At most.")] = 5
    colour: Annotated[str, means("", enum=["red"])] | None = None


@Operation(
    "Get a pet", "Pets",
    path={"name": Annotated[str, means("What it is called.", pattern="^[a-z]+$")]},
    answers={200: Answer("The pet.", Pet, links=(Link("feed", {"name": "$request.path.name"}), Link("gone", {})))},
    problems={404: "No such pet.", 503: "Asleep."},
)  # fmt: skip
async def get_pet(request: Request, *, shelter: object) -> object:
    """Not shown: the operation says it."""


@Operation("List pets", "Pets", query=Query, answers={200: Answer("All.", list[Pet])})
async def list_pets(request: Request) -> list[Pet]:
    return []


@Operation(
    "Feed a pet", "Food", path={"name": str}, headers={"X-Spoon": Annotated[str, means("Which.")]},
    body=Pet, body_optional=True, other_bodies={"text/csv": str}, examples={"red": {"name": "a", "colour": "red"}},
    answers={204: Answer("It has eaten.", headers={"X-Left": Annotated[int, means("Grams.")]})},
)  # fmt: skip
async def feed(request: Request) -> Response:
    return Response(status_code=204)


async def silent(request: Request) -> Pet:
    """Say something.

    And more of it.
    """
    return Pet("a")


async def unannotated(request):  # type: ignore[no-untyped-def]
    return {}


def make(*endpoints: tuple[str, str, Callable[..., Any]]) -> dict[str, Any]:
    served = [Served(f"app:{index}", *one) for index, one in enumerate(endpoints)]
    made = document("Pets", "1", served, Schemas(types_of(served)), tags={"Pets": "Cats."})
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    validate(decoded)
    return decoded


def test_a_described_endpoint_is_shown_as_it_says() -> None:
    made = make(("GET", "/pets/{name}", partial(get_pet, shelter=1)), ("POST", "/pets/{name:str}/feed", feed))
    operation = made["paths"]["/pets/{name}"]["get"]
    assert (operation["operationId"], operation["summary"], operation["tags"]) == (
        "get_pet",
        "Get a pet",
        ["Pets"],
    )
    assert operation["parameters"] == [
        {"name": "name", "in": "path", "required": True, "description": "What it is called.",
         "schema": {"type": "string", "pattern": "^[a-z]+$"}}
    ]  # fmt: skip
    answered = operation["responses"]["200"]
    assert answered["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}
    assert answered["links"] == {
        "feed": {"operationId": "feed", "parameters": {"name": "$request.path.name"}}
    }
    assert operation["responses"]["404"]["description"] == "No such pet."
    assert "Retry-After" in operation["responses"]["503"]["headers"]
    assert operation["responses"]["400"] == {"$ref": "#/components/responses/BadRequest"}
    assert made["tags"] == [{"name": "Pets", "description": "Cats."}, {"name": "Food", "description": ""}]


def test_structs_are_components_and_their_docstrings_markdown() -> None:
    pet = make(("GET", "/pets/{name}", get_pet))["components"]["schemas"]["Pet"]
    assert pet["description"] == "A pet, as `GET /pets/{name}` shows it."
    assert pet["properties"]["age"] == {
        "type": ["integer", "null"], "minimum": 0, "description": "In years.", "default": None
    }  # fmt: skip
    assert pet["properties"]["colour"]["enum"] == ["red", "black", None]
    assert pet["required"] == ["name"]


def test_a_query_has_no_nulls() -> None:
    owner, limit, colour = make(("GET", "/pets", list_pets))["paths"]["/pets"]["get"]["parameters"]
    assert owner == {"name": "owner", "in": "query", "required": True, "schema": {"type": "string"}}
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 10, "default": 5}
    assert not limit["required"]
    assert colour["schema"] == {"type": "string", "enum": ["red"]}


def test_bodies_headers_and_their_problems() -> None:
    operation = make(("POST", "/pets/{name:str}/feed", feed))["paths"]["/pets/{name}/feed"]["post"]
    body = operation["requestBody"]
    assert not body["required"]
    assert body["content"]["text/csv"] == {"schema": {"type": "string"}}
    assert body["content"]["application/json"]["examples"] == {
        "red": {"value": {"name": "a", "colour": "red"}}
    }
    assert [one["in"] for one in operation["parameters"]] == ["path", "header"]
    assert operation["responses"]["204"]["headers"] == {
        "X-Left": {"description": "Grams.", "schema": {"type": "integer"}}
    }
    assert {"413", "415"} <= operation["responses"].keys()


def test_an_endpoint_that_says_nothing_is_shown_with_what_is_known() -> None:
    made = make(("GET", "/s/{a}/{b:int}", silent), ("DELETE", "/u", unannotated))
    operation = made["paths"]["/s/{a}/{b}"]["get"]
    assert (operation["summary"], operation["description"]) == ("Say something.", "And more of it.")
    assert [one["name"] for one in operation["parameters"]] == ["a", "b"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Pet"}
    assert made["paths"]["/u"]["delete"]["summary"] == "app:1"
    assert "tags" not in operation


def test_a_function_behind_two_endpoints_is_two_operations() -> None:
    made = make(("GET", "/a/{name}", get_pet), ("GET", "/b/{name}", get_pet))
    ids = [item["get"]["operationId"] for item in made["paths"].values()]
    assert ids == ["app_0", "app_1"]


def test_types_of_one_name_are_told_apart() -> None:
    other: Any = msgspec.defstruct("Pet", [("legs", int)], module="zoo")

    @Operation("Get", "Zoo", answers={200: Answer("It.", other)})
    async def get_other(request: Request) -> object: ...

    schemas = make(("GET", "/a/{name}", get_pet), ("GET", "/b", get_other))["components"]["schemas"]
    assert {"zoo.Pet", f"{__name__}.Pet"} <= schemas.keys()
