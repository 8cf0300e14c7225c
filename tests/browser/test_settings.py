"""People, settings and one's own account in a real browser; and that browsers read the whole style sheet."""

import re
from datetime import time

import pytest
from playwright.sync_api import Page, expect

from fleet import clock
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools import bells
from fleet.schools.models import Bell, CalendarDay
from fleet.web.assets import read
from tests.browser.conftest import DESKTOP, PHONE, Open, Site
from tests.browser.test_pages import violations
from tests.unit.test_page_sources import WEB, without_words

pytestmark = [pytest.mark.browser, pytest.mark.serves]

_PAGES = [
    "/account", "/people", "/people?q=nothing", "/people/roles", "/people/new", "/people/teacher", "/people/nobody",
    "/settings", "/settings/calendar?year=2026&first=2026-12-25", "/settings/calendar/times",
    "/settings/schools/{w.school.id}", "/settings/schools/{w.school.id}/times?day=0", "/settings/schools/{w.school.id}/lessons",
]  # fmt: skip
_RULES = """(name) => {
  const count = (rules) => [...rules].reduce((sum, one) => sum + 1 + (one.cssRules ? count(one.cssRules) : 0), 0);
  return count([...document.styleSheets].find((one) => one.href.endsWith(name)).cssRules);
}"""


def look(page: Page) -> None:
    """Look at a page by day and night, on desk and phone."""
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (page.url, size, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], page.url
    page.set_viewport_size(DESKTOP)


def test_browser_reads_every_rule_of_our_style_sheets(open_page: Open) -> None:
    page = open_page("/sign-in")
    sheet = read(WEB / "static")["fleet.css"].content.decode()
    rules = without_words(sheet).count("{")
    of_other_browsers = len(re.findall(r"::-moz-[^{}]*\{", sheet))
    assert page.evaluate(_RULES, "/fleet.css") == rules - of_other_browsers


@pytest.mark.parametrize("path", _PAGES)
def test_pages_are_accessible_and_fit(site: Site, open_page: Open, path: str) -> None:
    with site.app.app_context(), transaction():
        if not bells.periods(None):
            spans = [bells.Period(day, time(8, 30), time(9, 15)) for day in range(5)]
            bells.set_periods(None, spans, by=Principal.command_line(), now=clock.now())
    look(open_page(path, "admin"))


def test_an_account_is_made_and_its_link_copied(site: Site, open_page: Open) -> None:
    page = open_page("/people", "admin")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("link", name="Ny konto").click()
    page.get_by_label("Navn", exact=True).fill("Prøve Vikar")
    page.get_by_label("Brukernavn").fill("prove-vikar")
    page.get_by_role("radio", name=re.compile("^Lærer")).check()
    page.get_by_label("Skole", exact=True).select_option(label="Prøveskolen")
    page.get_by_role("button", name="Lag kontoen").click()
    link = page.get_by_label("Lenke for å velge passord").input_value()
    look(page)
    page.get_by_role("button", name="Kopier lenken").click()
    expect(page.get_by_role("status").filter(has_text="Kopiert")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == link
    page.get_by_role("link", name="Til kontoen til Prøve Vikar").click()
    expect(page.get_by_text("Elevlisten har ingen lærer med brukernavnet prove-vikar.")).to_be_visible()
    page.get_by_role("button", name="Steng kontoen").click()
    expect(page.get_by_text("Kontoen er stengt og logget ut overalt.")).to_be_visible()
    page.get_by_role("button", name="Angre").click()
    expect(page.get_by_text("Kontoen er åpnet igjen")).to_be_visible()
    with site.app.app_context(), transaction():
        found = accounts.find("prove-vikar")
        assert found.disabled_at is None


def test_a_day_is_chosen_by_arrow_keys_changed_and_taken_back(site: Site, open_page: Open) -> None:
    page = open_page("/settings/schools/{w.school.id}?first=2026-10-05", "it")
    day = page.locator("a[aria-current=date]")
    expect(day).to_have_text("5")
    day.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_text("13")
    assert page.locator("[data-year] a[tabindex='0']").count() == 1
    page.keyboard.press("Enter")
    expect(page.get_by_label("Fra", exact=True)).to_have_value("2026-10-13")
    page.get_by_label("Hva er det?").fill("Planleggingsdag")
    page.get_by_role("button", name="Lagre dagene").click()
    expect(page.get_by_role("link", name="13. okt.: Planleggingsdag, fri (Skolen)")).to_be_visible()
    page.get_by_role("button", name="Angre").click()
    expect(page.get_by_text("Alt er som før endringen.")).to_be_visible()
    with site.app.app_context():
        assert db.session.query(CalendarDay).count() == 0


def test_bells_and_looks_work_without_a_script(site: Site, open_page: Open) -> None:
    page = open_page("/settings/schools/{w.school.id}/times", "it", javascript=False)
    page.get_by_label("Timene i en dag").fill("08:30-09:15\n09:25-10:10")
    page.get_by_role("checkbox", name="Fredag").uncheck()
    page.get_by_role("button", name="Lagre ringetidene").click()
    expect(page.get_by_text("Ringetidene er lagret.")).to_be_visible()
    with site.app.app_context(), transaction():
        assert db.session.query(Bell).filter_by(school_id=site.world.school.id).count() >= 8
        db.session.query(Bell).filter_by(school_id=site.world.school.id).delete()
    page.goto(site.address("/account"))
    page.get_by_label("Mørk").check()
    page.get_by_role("button", name="Lagre", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-color-scheme", "dark")
    with site.app.app_context(), transaction():
        db.session.query(Account).update({"theme": None})
