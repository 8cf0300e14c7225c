"""The pages in a real browser: accessible, living, and good without a script or a mouse."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from fleet import clock
from fleet.access import Principal
from fleet.assignments.assigning import Place
from fleet.checkins.models import CheckIn
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.people import accounts, passwords
from fleet.people.models import SignInSession
from fleet.schools.models import School
from tests import factories, visiting
from tests.browser.conftest import AXE, DESKTOP, PHONE, Open, Site
from tests.doors.test_web_pages import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.serves]

# Beside those of the policy's tables (test_every_page): what others see, and what is empty, long or wrong.
PAGES = [
    ("/sign-in", None), ("/password/unknown", None), ("/enrol#CODE", None), ("/unknown", "admin"), ("/", "nobody"),
    ("/tablets?q=nothing", "admin"), ("/tablets/OWN1/edit?class={w.own_class.id}", "admin"), ("/search?q=prøve", "admin"),
    ("/search?q=no+thing", "it"), ("/tablet-actions/ring?id=1&id=2", "admin"), ("/findings?kind=silent", "it"),
    ("/profiles", "it"),
]  # fmt: skip
_HIDDEN_CELLS = """(width) => [...document.querySelectorAll('.ds-table tbody :is(th, td)')].filter((cell) => {
    const box = cell.getBoundingClientRect();
    const saysColumn = cell.tagName === 'TH' || getComputedStyle(cell, '::before').content.length > 2;
    return !saysColumn || box.width === 0 || box.left < 0 || box.right > width || cell.scrollWidth > cell.clientWidth;
}).map((cell) => cell.outerHTML)"""
# Only what is wrong leaves the page: the list of all that is right is a hundred times as long.
_FOUND = """async (tags) =>
    (await axe.run(document, {runOnly: tags, resultTypes: ['violations']})).violations"""
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


def violations(page: Page) -> list[str]:
    """Return what axe finds against WCAG 2.1 AA and good practice."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(_FOUND, _RULES)
    return [f"{one['id']}: {one['help']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


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
    expect(page.get_by_role("heading", level=1)).to_have_text("I dag")
    page.get_by_role("button", name="Logg ut").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Logg inn")


def test_overview_follows_the_tablets_by_itself(site: Site, open_page: Open) -> None:
    page = open_page("/", "admin")
    page.evaluate("window.sameDocument = true")
    link = page.get_by_role("link", name="Naboskolen")
    link.focus()
    number = page.locator("#school-all td[data-label=Nettbrett]")
    before = int(number.inner_text())
    with site.app.app_context(), transaction():
        factories.device(db.session.get_one(School, site.world.other_school.id), serial=f"LIVE{before}")
    expect(number).to_have_text(str(before + 1))
    assert page.evaluate("window.sameDocument") is True
    expect(link).to_be_focused()


def test_filter_works_while_one_types_and_stays_through_refreshes(site: Site, open_page: Open) -> None:
    page = open_page("/tablets?class={w.own_class.id}", "admin")
    rows = page.locator("tr[id^=tablet-]")
    page.get_by_role("link", name="Klasse 8B").click()
    expect(rows).not_to_have_count(1)
    page.locator("#q").press_sequentially("own", delay=30)
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?q=own$"))
    with page.expect_response(lambda response: "q=own" in response.url):
        pass  # the next refresh by itself keeps the filter
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("own")
    expect(rows).to_have_count(1)
    page.locator("#state").select_option(label="Meldt tapt")
    expect(page.get_by_text("Ingen nettbrett passer.")).to_be_visible()
    page.reload()
    expect(page.locator("#q")).to_have_value("own")


def test_filter_works_without_what_others_made(site: Site, open_page: Open) -> None:
    page = open_page("/sign-in", "admin")
    page.route(re.compile(r"/vendor/"), lambda route: route.abort())
    page.goto(site.address("/tablets"))
    page.locator("#q").fill("own")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"\?q=own"))
    expect(page.locator("tr[id^=tablet-]")).to_have_count(1)


def _long_tales(site: Site) -> int:
    """Return the id of a school whose one tablet has much to tell: long names, failed settings, layers that disagree, check-ins."""
    with site.app.app_context(), transaction():
        school = factories.school("Skolen med det lange navnet ved fjorden")
        device = factories.device(
            school, serial="PHONE1-0123456789-ABCDEF", asset_tag="Nettbrettvogn-0123456789", model="Prøvebrett Pro 12,9"
        )
        factories.told(device, at=clock.now(), applied=factories.shall_have(device))
        device.state.failures = [{"key": "camera.allowed", "reason": "unsupported"}]
        visiting.finding(device, FindingKind.SETTINGS_FAILED, settings=["camera.allowed", "wifi.networks"])
        visiting.finding(
            device, FindingKind.APP_MISSING, "no.example.with.a.very.long.name.that.has.no.space.to.break.at"
        )
        base = factories.published(
            "kommunens-grunnoppsett-med-langt-navn", **{"camera.allowed": True, "apps.allowed": ["no.example.game"] * 3}
        )
        lesson = factories.published("undervisning", **{"camera.allowed": False})
        for version, place in ((base, Place.municipality()), (lesson, Place.school(school))):
            factories.assign(version, place, now=clock.now() - timedelta(minutes=5))
        row = {"device_id": device.id, "report_id": "x", "clock_offset_s": 0, "battery_percent": 87}
        db.session.add(
            CheckIn(
                **row, sequence=1, received_at=clock.now(), storage_free_bytes=5_300_000_000, applied_digest="0" * 64
            )
        )
        return school.id


def test_phone_shows_every_cell_with_its_column_and_nothing_beside_the_screen(site: Site, open_page: Open) -> None:
    school_id = _long_tales(site)
    page = open_page("/", "admin")
    page.set_viewport_size(PHONE)
    for path, most in (
        (f"/schools/{school_id}", 1),
        (f"/tablets?school={school_id}", 1),
        ("/tablets/PHONE1-0123456789-ABCDEF/why", 2),
        ("/findings", 3),
        ("/", 3),
    ):
        page.goto(site.address(path))
        hidden: list[str] = page.evaluate(_HIDDEN_CELLS, PHONE["width"])
        assert hidden == [], path
        assert page.locator(".ds-table tbody tr").count() >= most, path
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        assert violations(page) == [], path


def test_code_of_a_sheet_stays_in_the_browser(open_page: Open) -> None:
    page = open_page("/sign-in")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(f"{request.url} {request.headers} {request.post_data}"))
    page.goto(page.url.replace("/sign-in", "/enrol#SECR-ETCO"))
    expect(page.get_by_role("heading", level=1)).to_have_text("En kode for å registrere nettbrett")
    page.get_by_role("button", name="Nynorsk").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Ein kode for å registrere nettbrett")
    assert len(asked) > 2
    assert "SECR" not in "".join(asked)


def test_findings_narrow_by_kind_and_school_while_one_looks(open_page: Open) -> None:
    page = open_page("/", "admin")
    page.goto(page.url.rstrip("/") + "/findings")
    rows = page.locator("tr[id^=finding-]")
    expect(rows).not_to_have_count(0)
    page.locator("#school_id").select_option(label="Naboskolen")
    expect(page.get_by_text("Ingen åpne funn passer.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/findings\?school_id=\d+$"))
    page.locator("#school_id").select_option(label="Alle skoler")
    page.locator("#kind").select_option(label="Blokkert app")
    expect(rows).to_have_count(1)
    page.reload()
    expect(rows).to_have_count(1)


def test_page_nobody_looks_at_does_not_ask(open_page: Open) -> None:
    page = open_page("/", "admin")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
    page.wait_for_timeout(6_000)
    assert asked == []
    with page.expect_response(lambda response: response.ok):
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
    expect(page.get_by_role("heading", level=1)).to_have_text("Logg inn")
    page.fill("#username", "it")
    page.fill("#password", visiting.PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("OWN1")  # back where one was


def test_everything_works_without_javascript(open_page: Open) -> None:
    page = open_page("/tablets", "admin", javascript=False)
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
    for path in (
        f"/schools/{school_id}",
        f"/tablets?school={school_id}",
        *(f"/tablets/HOSTILE{number}" for number in range(len(HOSTILE))),
    ):
        page.goto(site.address(path))
        page.evaluate("htmx.trigger('#live', 'refresh')")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("[...document.querySelectorAll('img,iframe,object,embed')].length") == 0
