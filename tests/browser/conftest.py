"""Debian's chromium, driven by playwright; nothing is downloaded.  Whatever a page writes to the console as an error fails its test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from console import watched

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are browser tests."""
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker("browser")


@pytest.fixture(scope="module")  # not longer: playwright's event loop would be in the way of others
def browser() -> Iterator:
    """A headless chromium, or a skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium here; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser; pip install playwright")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser) -> Iterator:
    """A fresh page; its test fails when it complains."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    complaints = watched(page)
    yield page
    page.close()
    assert complaints == []
