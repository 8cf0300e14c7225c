"""A real browser over a real server. Skipped, saying so, only where the machine has no browser and is not CI."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, expect, sync_playwright

from fleet.app import create_app
from fleet.db import db
from tests import visiting
from tests.serving import Server, serving
from tests.visiting import PASSWORD, World

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).parents[2] / "fleet" / "web" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
expect.set_options(timeout=40_000)  # a busy machine is no fault
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the machine's Chromium; per module, as the driver's event loop runs until it is closed."""
    found = next((path for path in map(shutil.which, _NAMES) if path is not None), None)
    if found is None:
        missing = f"no browser on this machine (looked for {', '.join(_NAMES)}), see scripts/support/browser"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Site"]:
    """Return a server with the small municipality of ``visiting``."""
    folder = tmp_path_factory.mktemp("site")
    database = folder / "fleet.sqlite3"
    shutil.copyfile(sqlite_template, database)
    with serving(f"sqlite:///{database}", folder, jobs="off") as server:
        app = create_app(environ=server.full_environ())
        yield Site(server, app, visiting.build(app))
        with app.app_context():
            db.engine.dispose()


class Site:
    """The server, its address, and a way into its database beside it."""

    def __init__(self, server: Server, app: Flask, world: World) -> None:
        self.server, self.app, self.world = server, app, world

    def address(self, path: str) -> str:
        """Return the address of a page."""
        return self.server.address + path.format(w=self.world)


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    """Return a function that opens a page in a fresh browser, signed in where a name is given.

    After the test no page may have complained: no error in the console, nothing stopped by the content security policy,
    no dialog.
    """
    contexts, complaints = [], []

    def note(message: ConsoleMessage) -> None:
        unreachable = "Failed to load resource" in message.text or "Failed to fetch" in message.text
        if message.type in {"error", "warning"} and not unreachable:  # what tests of a server that is away provoke
            complaints.append(message.text)

    def open_(path: str, as_: str | None = None, *, javascript: bool = True) -> Page:
        context = browser.new_context(viewport=DESKTOP, locale="nb-NO", java_script_enabled=javascript)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        if as_ is not None:
            page.goto(site.address("/sign-in"))
            page.fill("#username", as_)
            page.fill("#password", PASSWORD)
            page.click("form.form button")
            page.wait_for_selector("form[action='/sign-out']")
        page.goto(site.address(path))
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
