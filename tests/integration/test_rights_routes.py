"""F35: every route against every right: none, an unknown one, too small a one, and the one that it takes."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from secured import bearer, guarded
from support import Answer, Server

from taskmill.application import BUILTIN, read
from taskmill.http import scope_of
from taskmill.http.auth.caller import SCOPES, implied
from taskmill.process.source import load_attribute

# What each route takes. One that is not here is judged by what its function says, which is `admin` by default.
TABLE = {
    "submit": "POST /tasks, POST /tasks/bulk, POST /tasks/{id}/cancel, POST /tasks/{id}/retry, "
    "DELETE /tasks/{id}, POST /batches, POST /batches/{id}/tasks, POST /batches/{id}/close, POST /batches/{id}/cancel",
    "submit or work": "POST /tasks/{id}/release",
    "observe": "GET /tasks, GET /tasks/{id}, GET /tasks/{id}/why, GET /queues, GET /queues/{name}, GET /actions, "
    "GET /nodes, GET /events, GET /tasks/{id}/events, GET /stats, GET /metrics, GET /registry, GET /move, GET /usage, "
    "GET /openapi.json, GET /batches, GET /batches/{id}",
    "read": "GET /tasks/{id}/capsule, GET /schedules, GET /schedules/{name}, GET /batches/{id}/results",
    "work": "POST /queues/{name}/claim, POST /tasks/{id}/heartbeat, POST /tasks/{id}/complete, POST /tasks/{id}/fail, "
    "POST /tasks/heartbeat, POST /tasks/complete, POST /tasks/fail, POST /tasks/release",
    "admin": "POST /tasks/cancel, POST /tasks/retry, POST /tasks/prune, PUT /schedules/{name}, "
    "DELETE /schedules/{name}, POST /schedules/{name}/run, POST /schedules/{name}/pause, "
    "POST /schedules/{name}/resume, POST /queues/{name}/pause, POST /queues/{name}/resume, POST /move, DELETE /move",
    "public": "GET /healthz, GET /readyz, GET /docs, GET /docs/{file}",
}
EXPECTED = {route: scope for scope, routes in TABLE.items() for route in routes.split(", ")}


class Route(NamedTuple):
    method: str
    path: str
    scope: str

    def ask(self, server: Server, headers: dict[str, str]) -> Answer:
        path = self.path.replace("{id}", "01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11")
        for parameter in ("{name}", "{file}"):
            path = path.replace(parameter, "none")
        body = None if self.method in ("GET", "DELETE") else {"unknown": 1}
        return server.request(self.method, path, body, headers)


def routes() -> Iterator[Route]:
    registry = read(BUILTIN)
    for entry in registry.entries.values():
        if entry.kind == "http.endpoint":
            function = registry.entries[entry.config.func]
            loaded = load_attribute(function.config.source, function.config.method, function.directory)
            said = entry.config.scope or scope_of(loaded)
            name = f"{entry.config.method} {entry.config.path}"
            yield Route(entry.config.method, entry.config.path, EXPECTED.get(name, said))


ROUTES = list(routes())
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    with guarded(tmp_path_factory.mktemp("rights")) as running:
        yield running


def test_the_table_is_of_routes_that_there_are() -> None:
    assert EXPECTED.keys() <= {f"{route.method} {route.path}" for route in ROUTES}


@every_route
def test_a_route_takes_what_the_table_says(shared: tuple[Server, dict[str, str]], route: Route) -> None:
    server, keys = shared
    forged = keys["admin"][:-1] + ("a" if keys["admin"][-1] != "a" else "b")
    unknown = [{}, bearer(""), bearer("tm_"), bearer(forged), bearer(keys["admin"] + "x"),
               {"Authorization": f"Basic {keys['admin']}"}, {"Authorization": keys["admin"]}]  # fmt: skip
    if route.scope == "public":
        assert all(route.ask(server, headers).status not in (401, 403) for headers in unknown)
        return
    for headers in unknown:
        answer = route.ask(server, headers)
        assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="taskmill"')
    for scope in SCOPES:
        answer = route.ask(server, bearer(keys[scope]))
        if route.scope in implied([scope]):
            assert answer.status not in (401, 403), answer.body
        else:
            assert answer.status == 403
            assert f"`{route.scope}`" in answer.json()["detail"]
            assert answer.headers["www-authenticate"].endswith(f'scope="{route.scope}"')


def test_two_keys_are_none(shared: tuple[Server, dict[str, str]]) -> None:
    from wire import Wire, post, task

    server, keys = shared
    key = f"Authorization: Bearer {keys['submit']}"
    with Wire(server.url) as wire:
        for _ in range(2):  # the second time its head is known
            assert wire.send(post(task("a"), key)).reply().status == 202
            assert wire.send(post(task("a"), key, key)).reply().status == 401


def test_other_ways_to_a_route_take_the_same(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    for path in ("/t%61sks", "/tasks?x=1"):  # not by the short way
        body = {"action": "uppercase", "data": {"text": "a"}}
        assert server.request("POST", path, body).status == 401
        assert server.request("POST", path, body, bearer(keys["read"])).status == 403
    assert server.request("HEAD", "/tasks").status == 401
    assert server.request("HEAD", "/tasks", None, bearer(keys["observe"])).status == 200


def test_no_key_comes_out_again(shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    secrets = [key[12:] for key in keys.values()]
    for path in ("/openapi.json", "/nodes", "/nowhere", "/tasks?limit=x", f"/tasks?key={keys['submit']}"):
        answer = server.request("GET", path, None, bearer(keys["admin"]))
        assert not any(secret.encode() in answer.body for secret in secrets)
    forged = keys["read"][:-3] + "abc"
    server.request("GET", "/tasks", None, bearer(forged))
    assert not any(secret[:20] in server.text() for secret in [*secrets, forged[12:]])
