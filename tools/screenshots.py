"""Takes the pictures of the dashboard that the docs show, from a program that runs: `python tools/screenshots.py`.

It starts a server on a free port with tasks that ended well, failed and wait, and looks at it with Debian's Chromium.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from apps import application  # noqa: E402 - beside the tests
from support import serving  # noqa: E402

ACTIONS = '''
@action
async def resize_image(url: str, width: int = 640) -> dict[str, int]:
    """Make an image smaller."""
    await asyncio.sleep(0.2)
    return {"width": width, "bytes": 48_113}

@action(inline=True)
def send_mail(to: str, subject: str, urgent: bool = False) -> str:
    """Send a mail, by the server that is nearest."""
    return "sent"

@action(max_attempts=2, backoff="100ms")
async def charge_card(customer: int, amount: float) -> str:
    """Charge a customer's card."""
    raise ConnectionError("the bank does not answer")
'''


def post(url: str, path: str, body: object, method: str = "POST") -> dict[str, str]:
    """Send a request to the server; return its answer."""
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(url + path, json.dumps(body).encode(), headers, method=method)) as answer:
        found: dict[str, str] = json.load(answer)
        return found


def main() -> None:
    """Fill a server, and write each picture."""
    IMAGES.mkdir(exist_ok=True)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        tempfile.TemporaryDirectory() as place,
        serving(Path(place), directory=application(Path(place) / "app", ACTIONS)) as server,
        sync_playwright() as playwright,
    ):
        failed = ""
        for n in range(40):
            mail = {"to": f"ada{n}@example.com", "subject": "Your order has been shipped"}
            post(server.url, "/tasks", {"action": "send_mail", "data": mail})
            image = {"url": f"https://example.com/{n}.png", "width": 320}
            post(server.url, "/tasks", {"action": "resize_image", "data": image})
            if n % 8 == 0:
                card = {"customer": 4000 + n, "amount": 12.5}
                failed = post(server.url, "/tasks", {"action": "charge_card", "data": card})["id"]
        post(
            server.url,
            "/tasks",
            {"action": "send_mail", "data": {"to": "x@y.z", "subject": "Later"}, "delay": 3600},
        )
        hourly = {
            "cron": "0 * * * *",
            "action": "send_mail",
            "data": {"to": "ops@example.com", "subject": "Report"},
        }
        post(server.url, "/schedules/report", hourly, "PUT")
        server.ended(failed)
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 760})
        for name, at in (
            ("overview", ""), ("tasks", "tasks"), ("task", f"tasks/{failed}"), ("failures", "failures"),
            ("submit", "actions/send_mail"),
        ):  # fmt: skip
            page.goto(f"{server.url}/dashboard#/{at}")
            page.locator("main h1").wait_for()
            page.wait_for_timeout(700)  # whatever else it asks for
            page.screenshot(path=IMAGES / f"dashboard-{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
