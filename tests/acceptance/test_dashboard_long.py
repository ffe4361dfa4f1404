"""`/dashboard` by a checker of accessibility, and with a hundred thousand rows."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from apps import application
from browsing import row, show
from playwright.sync_api import Page, Route, expect
from support import Server, require, serving

ACTIONS = """
@action(inline=True)
def shout(text: str, times: int = 1, tags: list[str] = []) -> str:
    return text.upper() * times

@action(max_attempts=1)
def fail() -> None:
    raise ConnectionError("no bank")
"""
AXE = "axe-core@4.14.1"
PLACES = ("", "tasks", "tasks/{}", "failures", "actions", "schedules", "nodes", "registry")
RUN = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(n => n.html)]))"
MANY = 100_000

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("dashboard")
    with serving(place, directory=application(place / "app", ACTIONS)) as running:
        yield running


@pytest.fixture
def axe(tmp_path: Path) -> str:
    npm = require(shutil.which("npm"), "apt-get install nodejs npm")
    subprocess.run([npm, "pack", AXE], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    (packed,) = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


def test_axe_finds_nothing_to_mend(page: Page, server: Server, axe: str) -> None:
    first = server.ended(server.submit("fail"))["id"]
    after = {"action": "shout", "data": {"text": "seen"}, "after": [first], "on_failure": "run"}
    made = server.request("POST", "/batches", {"name": "one", "tasks": [after]}).json()
    last = server.ended(made["ids"][0])["id"]
    server.request("PUT", "/schedules/hourly", {"every": 3600, "action": "shout", "data": {"text": "again"}})
    for dark, width in ((False, 1280), (True, 1280), (False, 360)):
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.set_viewport_size({"width": width, "height": 800})
        for place in PLACES:
            show(page, server, place.format(last))
            expect(page.locator("h1")).to_be_visible()
            if place == "":
                expect(page.locator(".uplot")).to_have_count(4)
            if place in ("registry", "tasks/{}"):
                expect(page.locator("svg .node").first).to_be_visible()
            if place == "actions":
                page.get_by_text("Options").click()
            page.evaluate(axe)  # in its own world: the page's policy lets no other script in
            assert page.evaluate(RUN) == [], (place, dark, width)


def test_a_hundred_thousand_tasks_are_few_rows_in_the_document(page: Page, server: Server) -> None:
    def task(n: int) -> dict[str, object]:
        moment = "2026-01-02T03:04:05.678Z"
        return {
            "id": f"01981a3e-77d0-7c4f-8f04-{n:012}", "action": "shout", "data": {"text": f"number {n}"},
            "status": "completed", "created_at": moment, "started_at": moment, "finished_at": moment,
        }  # fmt: skip

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query)
        below = int(asked.get("cursor", [str(MANY)])[0])
        last = max(0, below - int(asked["limit"][0]))
        tasks = [task(n) for n in reversed(range(last, below))]
        following = str(last) if last else None
        body = {"tasks": tasks, "count": len(tasks), "next": following}
        route.fulfill(body=json.dumps(body), content_type="application/json")

    page.route("**/tasks?*", answer)
    show(page, server, "tasks")
    expect(row(page, f"number {MANY - 1}")).to_be_visible()
    most = page.evaluate("""async () => {
      const box = document.querySelector(".scroll");
      const until = performance.now() + 90_000;
      let most = 0;
      const shown = () => document.querySelector("main > p.hint").textContent;
      while (shown() !== "100,000 shown" && performance.now() < until) {
        box.scrollTo(0, box.scrollHeight);
        await new Promise(requestAnimationFrame);
        most = Math.max(most, document.querySelectorAll("tbody tr").length);
      }
      return most;
    }""")
    expect(page.get_by_text("100,000 shown")).to_be_visible()
    assert 20 < most < 100
    box = page.get_by_role("region")
    for place, seen in ((1, "number 0"), (0.5, f"number {MANY // 2}"), (0, f"number {MANY - 1}")):
        box.evaluate("(box, place) => box.scrollTo(0, place * (box.scrollHeight - box.clientHeight))", place)
        expect(row(page, f'"{seen}"')).to_be_visible()
        assert page.locator("tbody tr").count() < 100
