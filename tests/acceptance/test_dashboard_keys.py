"""`/dashboard` and `/docs` where the API wants a key: it is asked for, goes along, and is kept nowhere else."""

from collections.abc import Iterator

import pytest
from browsing import row, show
from playwright.sync_api import Page, expect
from secured import bearer, guarded
from support import Server

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    with guarded(tmp_path_factory.mktemp("pages")) as running:
        yield running


def test_the_dashboard_is_live_with_a_key(page: Page, shared: tuple[Server, dict[str, str]]) -> None:
    server, keys = shared
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    show(page, server)
    expect(page.get_by_role("heading", name="A key is needed")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_label("API key").fill(keys["admin"][:-1])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("does not know the key")
    with page.expect_request("**/events") as events:
        page.get_by_label("API key").fill(keys["admin"])
        page.get_by_role("button", name="Go on").click()
    assert events.value.headers["authorization"] == f"Bearer {keys['admin']}"
    expect(page.get_by_role("rowheader", name="tasks")).to_be_visible()
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect(page.get_by_text("No task is like that.")).to_be_visible()
    body = {"action": "uppercase", "data": {"text": "told of"}}
    assert server.request("POST", "/tasks", body, bearer(keys["submit"])).status == 202
    expect(row(page, "told of")).to_contain_text("completed")
    assert page.evaluate("[Object.values(sessionStorage), localStorage.length, document.cookie]") == [
        [keys["admin"]], 0, "",
    ]  # fmt: skip
    assert not any(keys["admin"][12:] in url for url in asked)
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("heading", name="A key is needed")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_the_docs_page_asks_for_a_key_and_tries_with_it(
    page: Page, shared: tuple[Server, dict[str, str]]
) -> None:
    server, keys = shared
    page.goto(f"{server.url}/docs")
    page.get_by_label("API key").fill("tm_wrong")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("key")
    page.get_by_label("API key").fill(keys["observe"])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Taskmill")).to_be_visible()
    expect(page.get_by_role("heading", name="A key is needed")).to_be_hidden()
    nodes = page.locator("[id$='-list_nodes']")
    nodes.get_by_role("button").first.click()
    nodes.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/nodes") as answer:
        nodes.get_by_role("button", name="Execute").click()
    assert answer.value.status == 200
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_label("API key")).to_be_visible()
