"""Every page of the policy's tables in a real browser: accessible by day and night, and no wider than its screen."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from fleet.app import create_app
from fleet.db import db
from tests import visiting
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.test_pages import violations
from tests.doors.policy import ROLES, areas, filled
from tests.serving import Server, serving
from tests.visiting import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.serves]

_AREAS = {area.__name__.rpartition("routes_")[2]: area for area in areas()}
_LOOKS: list[tuple[ViewportSize, Literal["light", "dark"]]] = [(DESKTOP, "light"), (PHONE, "dark")]


@pytest.fixture(scope="module")
def full(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Any]]]:
    """Return a server with everything that addresses name, and what it is called."""
    folder = tmp_path_factory.mktemp("every-page")
    database = folder / "fleet.sqlite3"
    shutil.copyfile(sqlite_template, database)
    with serving(f"sqlite:///{database}", folder, jobs="off") as server:
        app = create_app(environ=server.full_environ())
        world = visiting.build(app)
        yield server, {"w": world, **filled(app, world)}
        with app.app_context():
            db.engine.dispose()


def signed_in(browser: Browser, server: Server, role: str) -> Page:
    page = browser.new_context(viewport=DESKTOP, locale="nb-NO").new_page()
    page.goto(f"{server.address}/sign-in")
    page.fill("#username", role)
    page.fill("#password", PASSWORD)
    page.click("form.form button")
    page.wait_for_selector("form[action='/sign-out']")
    return page


@pytest.mark.parametrize("role", ["admin", "teacher"])
@pytest.mark.parametrize("name", _AREAS)
def test_pages_of_an_area_are_accessible(
    browser: Browser, full: tuple[Server, dict[str, Any]], name: str, role: str
) -> None:
    server, named = full
    place = ROLES.index(role)
    addresses = {
        path.format(**named)
        for rows in _AREAS[name].ROUTES.values()
        for path, statuses in rows
        if statuses[place] == 200 and not path.startswith("POST ")
    }
    page, faults = signed_in(browser, server, role), []
    try:
        for address in sorted(addresses):
            if not page.request.head(f"{server.address}{address}").headers["content-type"].startswith("text/html"):
                continue
            page.goto(f"{server.address}{address}")
            for size, scheme in _LOOKS:
                page.set_viewport_size(size)
                page.emulate_media(color_scheme=scheme)
                faults += [f"{address} {scheme} {size['width']}: {one}" for one in violations(page)]
                if page.evaluate("document.documentElement.scrollWidth") > size["width"]:
                    faults.append(f"{address} {size['width']}: wider than the screen")
    finally:
        page.context.close()
    assert faults == []
