"""Debian's Chromium for tests, driven by Playwright; and the dashboard in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from support import Server, require

TIMEOUT = 20_000  # milliseconds
# The browser's own word for each 4xx, and Swagger UI's about names with underscores.
USUAL = ("Failed to load resource", "Deprecated: escaping deep link whitespace")

expect.set_options(timeout=TIMEOUT)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser."""
    program = require(
        shutil.which("chromium") or shutil.which("chromium-browser"), "apt-get install chromium"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def silent(browser: Browser) -> Iterator[Page]:
    """Open a page, whose console must stay silent."""
    page = browser.new_page()
    page.set_default_timeout(TIMEOUT)
    said: list[str] = []
    page.on("console", lambda message: message.text.startswith(USUAL) or said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()
    assert said == [], said


def show(page: Page, server: Server, place: str = "") -> None:
    page.goto(f"{server.url}/dashboard#/{place}")


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)
