"""The pages in a real browser: accessible, living, and good without a script or a mouse."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from fleet import clock
from fleet.access import Principal
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.people import accounts, passwords
from fleet.people.models import SignInSession
from fleet.schools.models import School
from tests import factories, visiting
from tests.browser.conftest import AXE, DESKTOP, PHONE, Open, Site
from tests.doors.test_web_pages import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.serves]

PAGES = [
    ("/sign-in", None), ("/password/unknown", None), ("/", "admin"), ("/schools/{w.school.id}", "admin"),
    ("/schools/{w.school.id}?q=nothing", "admin"), ("/tablets/OWN1", "admin"), ("/unknown", "admin"), ("/", "teacher"), ("/", "nobody"),
]  # fmt: skip
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """Return what axe finds against WCAG 2.1 AA and good practice."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("(tags) => axe.run(document, {runOnly: tags})", _RULES)
    return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]


@pytest.mark.parametrize(("path", "as_"), PAGES)
def test_page_is_accessible_and_fits_by_day_and_night_on_desk_and_phone(
    open_page: Open, path: str, as_: str | None
) -> None:
    page = open_page(path, as_)
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == scheme
            assert violations(page) == [], (size, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_forms_with_a_refusal_and_the_first_administrators_page_are_accessible(site: Site, open_page: Open) -> None:
    page = open_page("/sign-in")
    page.fill("#username", "nobody-known")
    page.fill("#password", "feil passord her")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Feil brukernavn eller passord.")
    assert violations(page) == []
    with site.app.app_context(), transaction():
        token = passwords.issue_link(accounts.find("nobody"), by=Principal.command_line(), now=clock.now())
    page.goto(site.address(f"/password/{token}"))
    expect(page.get_by_role("heading", name="Velg passord")).to_be_visible()
    assert violations(page) == []


def test_one_comes_to_the_content_and_signs_in_by_keyboard(open_page: Open) -> None:
    page = open_page("/sign-in")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Hopp til innholdet")
    expect(skip).to_be_focused()
    assert skip.bounding_box() is not None
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(visiting.PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Oversikt")
    page.get_by_role("button", name="Logg ut").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Logg inn")


def test_overview_follows_the_tablets_by_itself(site: Site, open_page: Open) -> None:
    page = open_page("/", "admin")
    page.evaluate("window.sameDocument = true")
    link = page.get_by_role("link", name="Naboskolen")
    link.focus()
    number = page.locator(".figure-value").first
    before = int(number.inner_text())
    with site.app.app_context(), transaction():
        factories.device(db.session.get_one(School, site.world.other_school.id), serial=f"LIVE{before}")
    expect(number).to_have_text(str(before + 1), timeout=12_000)
    assert page.evaluate("window.sameDocument") is True
    expect(link).to_be_focused()


def test_filter_works_while_one_types_and_stays_through_refreshes(site: Site, open_page: Open) -> None:
    page = open_page("/schools/{w.school.id}", "admin")
    rows = page.locator("tr[id^=tablet-]")
    expect(rows).not_to_have_count(1)
    page.locator("#q").press_sequentially("own", delay=30)
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?q=own$"))
    with page.expect_response(lambda response: "q=own" in response.url, timeout=12_000):
        pass  # the next refresh by itself keeps the filter
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("own")
    expect(rows).to_have_count(1)
    page.locator("#class_id").select_option(label="9A")
    expect(page.get_by_text("Ingen nettbrett passer.")).to_be_visible()
    page.reload()
    expect(page.locator("#q")).to_have_value("own")


def test_filter_works_without_what_others_made(site: Site, open_page: Open) -> None:
    page = open_page("/sign-in", "admin")
    page.route(re.compile(r"/vendor/"), lambda route: route.abort())
    page.goto(site.address("/schools/{w.school.id}"))
    page.locator("#q").fill("own")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?q=own"))
    expect(page.locator("tr[id^=tablet-]")).to_have_count(1)


def test_page_nobody_looks_at_does_not_ask(open_page: Open) -> None:
    page = open_page("/", "admin")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    page.wait_for_timeout(6_000)
    assert asked == []
    with page.expect_response(lambda response: response.ok, timeout=12_000):
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_page_says_when_the_server_is_away_and_when_it_is_back(open_page: Open) -> None:
    page = open_page("/", "admin")
    note = page.get_by_text("Ingen kontakt med tjeneren.")
    expect(note).to_be_hidden()

    def away(route: Route) -> None:
        route.abort()

    page.route("**/*", away)
    page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(note).to_be_visible()
    page.unroute("**/*", away)
    page.evaluate("htmx.trigger('#live', 'refresh')")
    expect(note).to_be_hidden()


def test_page_goes_to_the_sign_in_when_the_session_ends(site: Site, open_page: Open) -> None:
    page = open_page("/tablets/OWN1", "it")
    with site.app.app_context(), transaction():
        account = accounts.find("it")
        db.session.query(SignInSession).filter_by(account_id=account.id).update(
            {SignInSession.last_used_at: clock.now() - timedelta(hours=9)}
        )
    expect(page.get_by_role("heading", level=1)).to_have_text("Logg inn", timeout=12_000)
    page.fill("#username", "it")
    page.fill("#password", visiting.PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("OWN1")  # back where one was


def test_everything_works_without_javascript(open_page: Open) -> None:
    page = open_page("/schools/{w.school.id}", "admin", javascript=False)
    page.fill("#q", "next")
    page.get_by_role("button", name="Vis").click()
    expect(page.locator("tr[id^=tablet-]")).to_have_count(1)
    page.get_by_role("link", name="NEXT1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("NEXT1")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="Bokmål").click()
    page.get_by_role("button", name="Logg ut").click()
    expect(page.get_by_text("Du er logget ut.")).to_be_visible()


def test_hostile_names_run_nothing(site: Site, open_page: Open) -> None:
    with site.app.app_context(), transaction():
        school = factories.school("<img src=x onerror=alert(1)>")
        for number, text in enumerate(HOSTILE):
            device = factories.device(school, serial=f"HOSTILE{number}", asset_tag=text, model=text)
            factories.told(device, at=clock.now())
            device.state.facts = {"os_version": text, "model": text, "apps": []}
            device.state.failures = [{"key": text, "reason": text}]
            visiting.finding(device, FindingKind.APP_MISSING, text)
        school_id = school.id
    page = open_page("/", "admin")
    for path in (f"/schools/{school_id}", *(f"/tablets/HOSTILE{number}" for number in range(len(HOSTILE)))):
        page.goto(site.address(path))
        page.evaluate("htmx.trigger('#live', 'refresh')")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("[...document.querySelectorAll('img,iframe,object,embed')].length") == 0
