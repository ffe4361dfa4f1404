"""`/dashboard` in a real browser, over a real server: what is done on it is done, and what it shows is text."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from apps import application
from browsing import row, show
from playwright.sync_api import Page, expect
from support import Server, eventually, serving

from taskmill.tasks.dashboard.page import ASSETS, FILES

ACTIONS = """
from typing import Literal
import msgspec

@action(inline=True)
def shout(text: str, times: int = 1, loud: bool = True) -> str:
    \"\"\"Write a text in capital letters.\"\"\"
    return text.upper() * times

class Address(msgspec.Struct):
    street: str
    country: Literal["de", "fr"] = "de"

class Line(msgspec.Struct):
    name: str
    count: int

@action(inline=True)
def order(
    address: Address, lines: list[Line], tags: list[str] = [], kind: Literal["rush", "slow"] = "slow",
    gift: bool = False, signed: bool | None = None, extra: dict[str, int] = {}, invoice: Address | None = None,
) -> int:
    return sum(line.count for line in lines)

@action(inline=True)
def report(batch: Any) -> int:
    return batch["failed"]

@action(max_attempts=1)
async def pay(amount: int) -> str:
    if not os.path.exists(os.environ["MENDED"]):
        raise ConnectionError(f"no bank for {amount}")
    return "paid"

@action(inline=True)
def keep(value: Any) -> Any:
    return value

@action
async def slow() -> None:
    await asyncio.sleep(60)

@action
async def count() -> None:
    from taskmill import current_task

    task = current_task()
    task.log("begun <b>now</b>")
    task.progress(5, 10, "half way")
    await asyncio.sleep(60)
"""
HOSTILE = '<script>window.pwned=1</script><img src=x onerror="window.pwned=1">\u202e\u2066gnp.exe'

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mended") / "mended"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mended: Path) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("dashboard")
    directory = application(place / "app", ACTIONS)
    with serving(place, directory=directory, env={"MENDED": str(mended)}) as running:
        yield running


def test_everything_has_a_strict_policy(server: Server) -> None:
    for path in ("/dashboard", *(f"/dashboard/{name}" for name in FILES)):
        answer = server.get(path)
        assert answer.status == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_the_page_is_small_and_has_nothing_inline_or_from_elsewhere(server: Server) -> None:
    document = server.get("/dashboard").body.decode()
    assert not re.search(r"https?:|//|<style|\sstyle=|\son\w+=|<script>", document)
    assert sum(len(server.get(f"/dashboard/{name}").body) for name in FILES) < 200_000
    served = {path.name.removesuffix(".gz") for path in ASSETS.iterdir()}
    assert {name for name in served if name.endswith((".js", ".css"))} == set(FILES)
    for path in ("/dashboard/index.html", "/dashboard/..%2fpage.py", "/dashboard/x"):
        assert server.get(path).status == 404


def test_libraries_are_what_the_record_says() -> None:
    records = json.loads((ASSETS / "VENDORED.json").read_text())
    licences = {library["package"]: library["license"] for library in records}
    assert licences == {"htm": "Apache-2.0", "uplot": "MIT"}
    for library in records:
        for name, digest in library["sha256"].items():
            content = (ASSETS / name).read_bytes()
            content = gzip.decompress(content) if name.endswith(".gz") else content
            assert hashlib.sha256(content).hexdigest() == digest, name


def test_the_first_paint_takes_less_than_200_kb(page: Page, server: Server) -> None:
    taken: list[int] = []
    page.on("response", lambda answer: taken.append(len(answer.body())))
    show(page, server)
    expect(page.locator(".uplot").first).to_be_visible()
    assert 60_000 < sum(taken) < 200_000


def test_a_task_is_submitted_by_its_form_and_seen_to_end(page: Page, server: Server) -> None:
    show(page, server)
    page.get_by_role("link", name="Actions").click()
    page.get_by_role("link", name=re.compile("^shout")).click()
    page.get_by_label("text").fill("by hand")
    page.get_by_label("times").fill("2")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="shout")).to_be_visible()
    expect(page.get_by_text("completed", exact=True)).to_be_visible()
    expect(page.get_by_label("Result")).to_contain_text("BY HANDBY HAND")


def test_what_the_server_refuses_stands_at_its_field(page: Page, server: Server) -> None:
    show(page, server, "actions/shout")
    page.get_by_label("text").fill("x")
    page.get_by_label("times").fill("2.5")
    with page.expect_response(lambda answer: answer.url.endswith("/tasks") and answer.status == 400):
        page.get_by_role("button", name="Submit").click()
    expect(page.get_by_label("times")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("Expected `int`, got `float`")).to_be_visible()
    page.get_by_label("times").fill("many")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("a number is wanted")).to_be_visible()


def test_a_form_has_fields_for_what_is_in_objects_and_lists(page: Page, server: Server) -> None:
    show(page, server, "actions/order")
    field = page.get_by_role("textbox")
    page.get_by_role("group", name="address").get_by_label("street").fill("Long Street")
    page.get_by_role("group", name="address").get_by_label("country").select_option("fr")
    for n, (name, count) in enumerate((("bolt", "2"), ("gone", "1"), ("nut", "many")), 1):
        page.get_by_role("button", name="Add to lines").click()
        line = page.get_by_role("group", name=f"lines {n}")
        line.get_by_label("name").fill(name)
        line.get_by_label("count").fill(count)
    page.get_by_role("button", name="Remove lines 2").click()
    page.get_by_label("kind").select_option("rush")
    page.get_by_label("gift").check()
    page.get_by_label("signed").select_option("false")
    page.get_by_label("extra").fill('{"a": "b"}')
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("group", name="lines 2").get_by_text("a number is wanted")).to_be_visible()
    expect(page.get_by_role("group", name="lines 2").get_by_label("count")).to_be_focused()
    page.get_by_role("group", name="lines 2").get_by_label("count").fill("12345678901234567890123")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Mend the marked fields.")).to_be_visible()
    expect(page.get_by_label("extra")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("extra").fill('{"a": 1}')
    page.get_by_role("button", name="Add invoice").click()
    page.get_by_role("group", name="invoice").get_by_label("street").fill("Short Street")
    page.get_by_text("Options").click()
    page.get_by_role("group", name="tags").last.get_by_role("button").click()
    field.last.fill("by hand")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("completed", exact=True)).to_be_visible()
    task = server.get(f"/tasks/{page.url.rpartition('/')[2]}").json()
    assert task["data"] == {
        "address": {"street": "Long Street", "country": "fr"},
        "lines": [{"name": "bolt", "count": 2}, {"name": "nut", "count": 12345678901234567890123}],
        "tags": [], "kind": "rush", "gift": True, "signed": False, "extra": {"a": 1},
        "invoice": {"street": "Short Street", "country": "de"},
    }  # fmt: skip
    assert task["tags"] == ["by hand"]


def test_failures_are_one_line_for_a_cause_and_run_again_once_it_is_mended(
    page: Page, server: Server, mended: Path
) -> None:
    mended.unlink(missing_ok=True)
    for amount in range(6):
        server.ended(server.submit("pay", {"amount": amount}))
    show(page, server, "failures")
    group = page.get_by_role("listitem").filter(has_text="ConnectionError")
    expect(group).to_have_count(1)
    expect(group).to_contain_text("no bank for 5")
    group.get_by_role("button", name="Run two, then the others").click()
    expect(group.get_by_role("status")).to_contain_text("Stopped: ConnectionError")
    mended.touch()
    group.get_by_role("button", name="Run two, then the others").click()
    expect(page.get_by_text("Nothing has failed.")).to_be_visible()
    eventually(lambda: server.get("/tasks?action=pay&status=completed").json()["count"] >= 6)


def test_one_task_is_run_again_and_another_cancelled(page: Page, server: Server, mended: Path) -> None:
    mended.unlink(missing_ok=True)
    id_ = server.ended(server.submit("pay", {"amount": 7}))["id"]
    show(page, server, f"tasks/{id_}")
    expect(page.get_by_role("note")).to_contain_text("no bank for 7")
    mended.touch()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("completed", exact=True)).to_be_visible()
    id_ = server.submit("slow")
    show(page, server, f"tasks/{id_}")
    expect(page.get_by_text("running", exact=True)).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()
    assert server.get(f"/tasks/{id_}").json()["status"] == "cancelled"


def test_a_queue_is_paused_and_resumed(page: Page, server: Server) -> None:
    show(page, server)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("paused", exact=True)).to_be_visible()
    server.submit("shout", {"text": "waits"})
    expect(page.locator(".figures li").first).to_contain_text("1")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("paused", exact=True)).to_have_count(0)


def test_a_list_goes_by_its_filters_and_is_live(page: Page, server: Server) -> None:
    server.submit("shout", {"text": "one of many"})
    show(page, server, "tasks?status=scheduled")
    expect(page.get_by_text("No task is like that.")).to_be_visible()
    answer = server.request("POST", "/tasks", {"action": "shout", "data": {"text": "soon"}, "delay": 3600})
    expect(row(page, "soon")).to_be_visible()
    expect(row(page, "one of many")).to_have_count(0)
    server.request("POST", f"/tasks/{answer.json()['id']}/cancel")
    expect(row(page, "soon")).to_have_count(0)
    page.get_by_label("Status").select_option("completed")
    page.get_by_label("Action").fill("shout")
    page.get_by_label("Action").press("Enter")
    expect(row(page, "one of many").first).to_be_visible()
    expect(page).to_have_url(re.compile("status=completed&action=shout$"))


def test_a_long_list_has_few_rows_in_the_document(page: Page, server: Server) -> None:
    fill(server, 3_000)
    show(page, server, "tasks?tag=many")
    box = page.get_by_role("region")
    expect(row(page, "number 2999")).to_be_visible()
    assert page.locator("tbody tr").count() < 100
    reached = re.compile("number 0\\b")
    for _ in range(400):
        box.evaluate("box => box.scrollTo(0, box.scrollHeight)")
        if row(page, reached).count() or page.get_by_text("more below").count() == 0:
            break
        page.wait_for_timeout(50)
    box.evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(row(page, '"number 0"')).to_be_visible()
    assert page.locator("tbody tr").count() < 100
    expect(page.get_by_text("3,000 shown")).to_be_visible()


def fill(server: Server, count: int) -> None:
    lines = [
        json.dumps({"action": "shout", "data": {"text": f"number {n}"}, "tags": ["many"]})
        for n in range(count)
    ]
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/tasks/bulk", "\n".join(lines), {"Content-Type": "application/x-ndjson"})
    assert connection.getresponse().read().count(b'"id"') == count
    connection.close()


def test_whatever_a_client_sent_is_text(page: Page, server: Server) -> None:
    body = {"action": "shout", "data": {"text": HOSTILE}, "tags": [HOSTILE], "key": HOSTILE}
    hostile = server.request("POST", "/tasks", body).json()["id"]
    long = server.submit("shout", {"text": "x" * 1_000_000})
    nested = b'{"action":"keep","data":{"value":' + b"[" * 90 + b"]" * 90 + b"}}"
    deep = server.request("POST", "/tasks", nested).json()["id"]
    for place in ("", "tasks", f"tasks/{hostile}", f"tasks/{long}", f"tasks/{deep}"):
        show(page, server, place)
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_function("document.body.innerText.length > 100")
    show(page, server, f"tasks/{hostile}")
    expect(page.get_by_label("Data")).to_contain_text("<script>window.pwned=1</script>")
    assert page.evaluate("window.pwned") is None
    assert page.locator("main script, main img").count() == 0
    show(page, server, f"tasks/{long}")
    expect(page.get_by_label("Result")).to_contain_text("XXXX")


def test_a_task_that_runs_tells_how_far_it_is_and_what_it_does(page: Page, server: Server) -> None:
    id_ = server.submit("count")
    show(page, server, f"tasks/{id_}")
    expect(page.get_by_text("half way")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "5")
    expect(page.get_by_role("log")).to_contain_text("begun <b>now</b>")
    server.request("POST", f"/tasks/{id_}/cancel")
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()


def test_what_happens_is_told_and_not_looked_for(page: Page, server: Server) -> None:
    page.clock.install()
    with page.expect_response(lambda answer: answer.url.endswith("/events")):
        show(page, server, "tasks?action=keep")
    body = {"action": "keep", "data": {"value": "told of"}, "delay": 3600}
    id_ = server.request("POST", "/tasks", body).json()["id"]
    expect(row(page, "told of")).to_contain_text("scheduled")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(14_000)  # by looking alone it would ask seven times
    assert len([url for url in asked if "/tasks" in url]) < 3
    server.request("POST", f"/tasks/{id_}/cancel")
    expect(row(page, "told of")).to_contain_text("cancelled")


def test_without_events_the_page_looks_again_and_again(page: Page, server: Server) -> None:
    page.route("**/events", lambda route: route.fulfill(status=404, body="{}"))
    show(page, server, "tasks?action=keep")
    expect(page.locator("h1")).to_be_visible()
    server.submit("keep", {"value": "looked for"})
    expect(row(page, "looked for")).to_contain_text("completed")


def test_selected_tasks_are_cancelled_and_all_that_match_run_again(page: Page, server: Server) -> None:
    for n in range(3):
        body = {"action": "keep", "data": {"value": n}, "delay": 3600, "tags": ["several"]}
        assert server.request("POST", "/tasks", body).status == 202
    show(page, server, "tasks?tag=several")
    boxes = page.get_by_role("checkbox")
    expect(boxes).to_have_count(3)
    boxes.nth(0).check()
    boxes.nth(2).check()
    many = page.get_by_role("group", name="Do to many")
    expect(many).to_contain_text("2 selected")
    many.get_by_role("button", name="Cancel").click()
    expect(row(page, "cancelled")).to_have_count(2)
    expect(row(page, "scheduled")).to_have_count(1)
    many.get_by_role("button", name="Run again all that match…").click()
    expect(many).to_contain_text("2 would be to run again")
    many.get_by_role("button", name="Run again").click()
    expect(row(page, "completed")).to_have_count(2)


def test_what_a_task_follows_is_a_picture(page: Page, server: Server) -> None:
    def submit(body: dict[str, object]) -> str:
        answer = server.request("POST", "/tasks", {"action": "keep", "data": {"value": 1}, **body})
        return str(answer.json()["id"])

    first = submit({"delay": 3600})
    second = submit({"after": [first]})
    third = submit({"after": [first, second]})
    show(page, server, f"tasks/{third}")
    expect(page.get_by_text("It follows 2 that have not ended.")).to_be_visible()
    picture = page.get_by_role("region", name="What the task follows")
    expect(picture.get_by_role("link")).to_have_count(3)
    expect(picture.locator("path.arrow")).to_have_count(3)
    server.request("POST", f"/tasks/{first}/cancel")
    expect(picture.get_by_role("link", name=re.compile(f"{first[-12:]} · cancelled"))).to_be_visible()
    expect(picture.get_by_role("link", name=re.compile(f"{second[-12:]} · failed"))).to_be_visible()
    expect(page.get_by_role("note")).to_contain_text("dependency_failed")
    picture.get_by_role("link", name=re.compile(second[-12:])).click()
    expect(page.get_by_text(second)).to_be_visible()


def test_a_batch_is_shown_beside_each_of_its_tasks(page: Page, server: Server) -> None:
    late = {"action": "keep", "data": {"value": 1}, "delay": 3600}
    tasks = [{**late, "name": "one"}, {**late, "name": "two"}, {"action": "keep", "data": {"value": 2}}]
    last = {"action": "report"}
    body = {"name": "chapters", "tasks": tasks, "on_complete": last}
    made = server.request("POST", "/batches", body).json()
    server.request("POST", f"/tasks/{made['ids'][1]}/cancel")
    show(page, server, f"tasks/{made['ids'][0]}")
    batch = page.get_by_role("region", name="Batch chapters")
    expect(batch).to_contain_text("2 of 3 have ended")
    expect(batch.get_by_role("link", name="two")).to_be_visible()
    expect(batch.get_by_role("link", name=made["on_complete"][-12:])).to_be_visible()
    batch.get_by_role("button", name="Cancel the batch").click()
    expect(batch).to_contain_text("3 of 3 have ended")
    expect(page.get_by_text("cancelled", exact=True).first).to_be_visible()


def test_numbers_are_shown_as_they_were_sent(page: Page, server: Server) -> None:
    large = 12345678901234567890123
    id_ = server.submit("keep", {"value": large})
    show(page, server, f"tasks/{id_}")
    expect(page.get_by_label("Result")).to_contain_text(str(large))


def test_the_registry_is_a_picture(page: Page, server: Server) -> None:
    show(page, server, "registry")
    picture = page.get_by_role("region", name="Entries and arrows")
    expect(picture.get_by_role("link", name="db, db.sql.sqlite, running")).to_be_visible()
    few = picture.get_by_role("link").count()
    page.get_by_role("checkbox").check()
    expect(picture.get_by_role("link", name="healthz, function.python, running")).to_be_attached()
    assert picture.get_by_role("link").count() > 5 * few
    expect(row(page, "task_consumer").first).to_contain_text("tasks_queue")


def test_a_form_of_another_site_submits_nothing(page: Page, server: Server) -> None:
    def count() -> int:
        return int(server.get("/tasks?action=stolen").json()["count"])

    form = f"""<form method="post" enctype="text/plain" action="{server.url}/tasks">
      <input name='{{"action":"stolen","data":{{"x":"' value='"}}}}'><button>Win</button></form>"""
    page.route("http://elsewhere.test/", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto("http://elsewhere.test/")
    with page.expect_response(lambda answer: answer.url.endswith("/tasks")) as refused:
        page.get_by_role("button", name="Win").click()
    assert refused.value.status in (403, 415)
    assert count() == 0


def test_schedules_are_run_and_paused(page: Page, server: Server) -> None:
    body = {"every": 3600, "action": "shout", "data": {"text": "again"}}
    assert server.request("PUT", "/schedules/hourly", body).status in (200, 201)
    show(page, server, "schedules")
    expect(row(page, "hourly")).to_contain_text("every 1 h")
    row(page, "hourly").get_by_role("button", name="Pause").click()
    expect(row(page, "hourly")).to_contain_text("paused")
    row(page, "hourly").get_by_role("button", name="Run now").click()
    expect(row(page, "hourly").get_by_role("link")).to_have_count(1)
    show(page, server, "nodes")
    expect(page.get_by_text("leads")).to_be_visible()


def test_on_a_telephone_nothing_sticks_out(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    for place in ("", "tasks", "failures", "actions", "schedules", "nodes", "registry"):
        show(page, server, place)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, place


def test_by_the_keyboard_alone(page: Page, server: Server) -> None:
    show(page, server)
    expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".figures a").first).to_be_focused()
