"""Pages of a browser for a file's tests: Playwright's loop must not outlive them, as others have loops too."""

from collections.abc import Iterator

import pytest
from browsing import browsing, silent
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with silent(browser) as page:
        yield page
