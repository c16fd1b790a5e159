"""A headless Chromium that notes everything that goes wrong on a page."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, Response, sync_playwright

REQUIRED = "AMLCORE_REQUIRE_BROWSER"
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
WORDS = re.compile(r"Can't load|went wrong|An error occurred|Page Not Found|RESOURCE_DOES_NOT_EXIST|INTERNAL_ERROR")


class Tab:
    """A page in the browser.

    Attributes
    ----------
    faults : list of str
        Answers of 400 and more, errors on the console, and words on the page that say that something failed.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.faults: list[str] = []
        self._url = url
        page.on("response", self._note_response)
        page.on("requestfailed", self._note_failure)
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self._note(f"error: {error}"))

    def open(self, path: str) -> None:
        """Open an address of the page anew, and wait until it has loaded all that it asks for."""
        self.page.goto("about:blank")
        self.page.goto(f"{self._url}/#/{path}")
        self.settle()
        match = WORDS.search(self.text)
        if match is not None:
            self._note(f"words: {self.text[max(0, match.start() - 80) : match.end() + 80]}")

    def settle(self) -> None:
        self.page.wait_for_load_state("networkidle", timeout=60_000)
        self.page.wait_for_timeout(300)

    def see(self, text: str) -> None:
        """Wait until the page shows `text`."""
        self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=30_000)

    @property
    def text(self) -> str:
        return self.page.inner_text("body")

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page, in the folder of the variable AMLCORE_SCREENSHOTS if that is set."""
        if folder := os.environ.get("AMLCORE_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder, f"{name}.png"))

    def _note(self, fault: str) -> None:
        self.faults.append(f"{self.page.url}: {fault}")

    def _note_response(self, response: Response) -> None:
        if response.status >= 400:
            self._note(f"{response.status} {response.request.method} {response.url}")

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error" and self._is_own(message.location["url"]):
            self._note(f"console: {message.text}")

    def _note_failure(self, request: Request) -> None:
        # the page cancels its own requests when one leaves it
        if self._is_own(request.url) and request.failure != "net::ERR_ABORTED":
            self._note(f"failed: {request.url}: {request.failure}")

    def _is_own(self, url: str) -> bool:
        """Whether an address is of this server: where there are no traces the page shows a film from the web."""
        return urlsplit(url).netloc in ("", urlsplit(self._url).netloc)


@contextmanager
def browse(url: str) -> Iterator[Tab]:
    """A tab of a new browser. Skips the test where there is none, unless CI promised one."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, and there is no chromium")
        pytest.skip("no chromium here: tests/page/install installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            yield Tab(browser.new_page(viewport={"width": 1400, "height": 900}), url)
        finally:
            browser.close()
