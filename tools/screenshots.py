"""Takes the pictures of the dashboard that the docs show, from a program that runs: `python tools/screenshots.py`.

It starts a server on a free port, gives it work for some minutes (`--minutes 12`: the charts have a point for each),
and looks at it with Debian's Chromium: in the light, in the dark, and as wide as a telephone.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "tests"))

from apps import application  # noqa: E402 - beside the tests
from support import Server, serving  # noqa: E402

ACTIONS = '''
from typing import Literal

import msgspec
from taskmill import current_task


class Address(msgspec.Struct):
    """Where something goes."""

    street: str
    city: str
    country: Literal["DE", "FR", "GB", "US"] = "DE"


class Item(msgspec.Struct):
    """A line of an order."""

    product: str
    count: int = 1


@action
async def resize_image(url: str, width: int = 640) -> dict[str, int]:
    """Make an image smaller."""
    await asyncio.sleep(0.02 + hash(url) % 100 / 800)
    return {"width": width, "bytes": 48_113}


@action(inline=True)
def send_mail(to: str, subject: str, urgent: bool = False) -> str:
    """Send a mail, by the server that is nearest."""
    return "sent"


@action(max_attempts=2, backoff="100ms")
async def charge_card(customer: int, amount: float) -> str:
    """Charge a customer's card."""
    raise ConnectionError("the bank does not answer")


@action
async def ship_order(address: Address, items: list[Item], gift: bool = False, priority: int = 0) -> str:
    """Have an order packed and sent."""
    return "packed"


@action
async def export_year(year: int) -> str:
    """Write all orders of a year into a file."""
    task = current_task()
    for month in range(1, 9):
        task.log(f"month {month} of {year}: {month * 1207} orders")
        task.progress(month, 12, f"orders of {year}, by month")
    await asyncio.sleep(3600)
    return "done"
'''
EVERY = 0.5  # seconds between tasks given for the charts


class Shop:
    """A server, and the work that it is given."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._given = 0

    def submit(self, action: str, data: Mapping[str, Any], **options: object) -> str:
        """Submit a task; return its id."""
        body = {"action": action, "data": data, **options}
        return str(self._server.request("POST", "/tasks", body).json()["id"])

    def order(self) -> None:
        """Give it what one order makes: mails, images, and now and then a card that cannot be charged."""
        self._given += 1
        n = self._given
        self.submit("send_mail", {"to": f"ada{n}@example.com", "subject": "Your order has been shipped"})
        self.submit("resize_image", {"url": f"https://example.com/{n}.png", "width": 320})
        if n % 40 == 5:
            self.submit("charge_card", {"customer": 4000 + n, "amount": 12.5})

    def work(self, minutes: float) -> None:
        """Give it orders, more and less of them by and by."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < minutes * 60:
            for _ in range(round(3 + 2.5 * math.sin(passed / 100) + passed % 7 / 7)):
                self.order()
            time.sleep(EVERY)

    def last(self) -> dict[str, str]:
        """Give it what the pictures of single things show; return where those are."""
        for _ in range(40):
            self.order()
        failed = self.submit("charge_card", {"customer": 4711, "amount": 99.0})
        self._server.ended(failed)
        year = self.submit("export_year", {"year": 2025})
        items = [{"product": "lamp"}, {"product": "bulb", "count": 3}]
        parcel = {"address": {"street": "Long Street 1", "city": "Bonn"}, "items": items}
        ship = self.submit("ship_order", parcel, delay=900)
        mail = {"to": "ops@example.com", "subject": "The year is there"}
        pages = [self.submit("resize_image", {"url": f"page {n}"}, after=[year]) for n in range(2)]
        report = self.submit("send_mail", mail, after=[*pages, ship], tags=["report"])
        daily = {"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin", "action": "send_mail", "data": mail}
        self._server.request("PUT", "/schedules/report", daily)
        self._server.request(
            "PUT", "/schedules/export", {"every": 3600, "action": "export_year", "data": {"year": 2026}}
        )
        return {
            "overview": "", "tasks": "tasks", "task": f"tasks/{failed}", "running": f"tasks/{year}",
            "follows": f"tasks/{report}", "failures": "failures", "submit": "actions/ship_order",
            "schedules": "schedules", "registry": "registry",
        }  # fmt: skip


def picture(browser: Browser, address: str, name: str, *, dark: bool = False, width: int = 1100) -> None:
    """Write one picture: of what is seen at first, or less where there is less."""
    page = browser.new_page(
        viewport={"width": width, "height": 780}, color_scheme="dark" if dark else "light"
    )
    page.goto(address)
    page.locator("main h1").wait_for()
    if name == "submit":
        page.get_by_role("button", name="Add to items").click()
    page.wait_for_timeout(1_200)  # whatever else it asks for
    used = page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
    height = min(780 if name != "overview" else 900, math.ceil(used))
    clip = {"x": 0.0, "y": 0.0, "width": float(width), "height": float(height)}
    page.screenshot(path=IMAGES / f"dashboard-{name}.png", clip=clip, full_page=True)  # type: ignore[arg-type]
    page.close()


def main() -> None:
    """Fill a server, and write each picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0, help="of work before the pictures are taken")
    minutes = parser.parse_args().minutes
    IMAGES.mkdir(exist_ok=True)
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        tempfile.TemporaryDirectory() as place,
        serving(Path(place), directory=application(Path(place) / "app", ACTIONS)) as server,
        sync_playwright() as playwright,
    ):
        shop = Shop(server)
        shop.work(minutes)
        places = shop.last()
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        address = f"{server.url}/dashboard#/"
        for name, at in places.items():
            picture(browser, address + at, name)
        picture(browser, address, "dark", dark=True)
        picture(browser, address + "tasks", "telephone", width=390)
        browser.close()


if __name__ == "__main__":
    main()
