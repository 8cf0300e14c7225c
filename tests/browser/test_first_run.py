"""From an empty server to its first tablet, with nothing but a browser and a tablet: the README's own way."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests import rosters
from tests.agents import LiveTablet
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.test_pages import violations
from tests.serving import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.serves]

PASSWORD = "en lang setning om rein"
_LINK = re.compile(r"chooses a password at (http\S+)")


@pytest.fixture
def empty(sqlite_template: Path, tmp_path: Path) -> Iterator[Server]:
    """Return a server that was started for the first time."""
    database = tmp_path / "fleet.sqlite3"
    shutil.copyfile(sqlite_template, database)
    with serving(f"sqlite:///{database}", tmp_path, jobs="off") as server:
        yield server


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=DESKTOP, locale="nb-NO")
    complaints: list[str] = []
    opened = context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # a refusal is a status too
            complaints.append(message.text)

    opened.on("console", note)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()
    assert complaints == []


def good(page: Page) -> None:
    """Check that a page is accessible by day and night, on a desk and on a phone."""
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (page.url, size, scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], page.url


def begin(page: Page, server: Server) -> None:
    """Choose the first administrator's name and password, and sign in."""
    link = _LINK.search(server.log)
    assert link is not None
    page.goto(link[1])
    page.fill("#username", "forste")
    page.fill("#name", "Prøve Første")
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Logg inn")
    page.fill("#username", "forste")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Kom i gang")


def test_the_first_tablet_is_enrolled_without_a_terminal_on_the_server(empty: Server, page: Page) -> None:
    begin(page, empty)
    good(page)
    here = page.locator("[aria-current=step]")
    here.get_by_label("Navn").fill("Prøvekommune")
    here.get_by_role("button", name="Lagre").click()
    here.get_by_role("button", name="Senere").click()
    here.get_by_label("Skolens navn").fill("Prøve ungdomsskole")
    here.get_by_label("Klassene der").fill("8A, 8B")
    here.get_by_role("button", name="Lag skolen").click()
    here.get_by_role("button", name="Bruk de ferdige profilene").click()
    good(page)
    here.get_by_role("button", name="Lag den første billetten").click()
    code = page.locator("#code").inner_text()
    page.locator("summary").filter(has_text="Linux").click()
    page.get_by_role("button", name="Kopier kommandoen").click()
    expect(page.locator("#copied")).to_have_text("Kopiert")
    assert page.evaluate("getSelection().toString()").startswith("scripts/agent --state ./tablet --qr 'http")
    good(page)
    tablet = LiveTablet(empty.address, "FIRST1", code)
    try:
        tablet.on()
        row = page.get_by_role("row").filter(has_text="FIRST1")
        expect(row).to_contain_text("Har profilen sin", timeout=60_000)
        assert page.locator("#code").inner_text() == code  # the page stayed as it was
        page.goto(f"{empty.address}/setup")
        expect(page.get_by_text("FIRST1 er kommet inn.")).to_be_visible()
        good(page)
        page.get_by_role("button", name="Ferdig, gå til I dag").click()
        expect(page).to_have_url(f"{empty.address}/")
        expect(page.locator(".need")).to_have_count(0)  # a first tablet is no trouble, nor is its ticket
    finally:
        tablet.off()


def test_a_tablet_that_waits_is_compared_and_let_in_while_its_ticket_stays_on_the_screen(
    empty: Server, page: Page
) -> None:
    begin(page, empty)
    empty.fleet("schools", "create", "Prøveskolen")
    page.goto(f"{empty.address}/enrolment")
    good(page)
    page.locator("main").get_by_role("link", name="Ny billett").first.click()
    expect(page.get_by_role("link", name="Hele skolen")).to_be_visible()
    good(page)
    page.get_by_role("link", name="Hele skolen").click()
    page.get_by_label("Hvor mange nettbrett").fill("28")
    good(page)
    page.get_by_role("button", name="Lag billetten").click()
    code = page.locator("#code").inner_text()
    tablet = LiveTablet(empty.address, "NEW1", code)
    try:
        tablet.on()
        asking = page.locator(".asking-card").filter(has_text="NEW1")
        expect(asking).to_contain_text(re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}"), timeout=30_000)
        good(page)
        asking.get_by_role("button", name="Godkjenn").click()
        expect(asking).to_have_count(0)
        expect(page.get_by_role("row").filter(has_text="NEW1")).to_contain_text("Har profilen sin", timeout=60_000)
        assert page.locator("#code").inner_text() == code
        page.reload()  # the ticket's own page, not a second ticket
        expect(page).to_have_url(re.compile(r"/enrolment/1$"))
        expect(page.locator("#code")).to_have_count(0)
    finally:
        tablet.off()
    page.goto(f"{empty.address}/imports")
    good(page)


def test_a_roster_is_dropped_looked_at_braked_and_taken_back(empty: Server, page: Page, tmp_path: Path) -> None:
    begin(page, empty)
    whole = rosters.zipped(tmp_path / "hel.zip", rosters.one_roster(classes=10))
    half = rosters.zipped(tmp_path / "halv.zip", rosters.one_roster(classes=4))
    page.goto(f"{empty.address}/imports")
    page.locator("#roster").set_input_files(whole)
    page.get_by_role("button", name="Se på filen").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hva elevlisten ville endre")
    good(page)
    page.get_by_role("button", name="Importer elevlisten").click()
    expect(page.get_by_text("Elevlisten er importert.")).to_be_visible()
    page.locator("#roster").set_input_files(half)
    page.get_by_role("button", name="Se på filen").first.click()
    expect(page.get_by_role("heading", name="Bremsen er på")).to_be_visible()
    good(page)
    told = page.get_by_label(re.compile(r"Skriv \d+ for å gå videre"))
    told.fill("1")
    page.get_by_role("button", name="Importer elevlisten").click()
    expect(page.get_by_text("Ingenting ble endret.")).to_be_visible()
    page.locator("#confirmed").fill(re.findall(r"Skriv (\d+) for", page.inner_text("main"))[0])
    page.get_by_role("button", name="Importer elevlisten").click()
    page.locator(".notice").get_by_role("button", name="Angre").click()
    expect(page.get_by_text("halv.zip er angret.")).to_be_visible()
    good(page)
