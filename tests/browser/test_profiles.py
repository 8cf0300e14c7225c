"""A profile's way in a real browser: found, changed, compared, published with its effect told, and given to places."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from fleet import clock
from fleet.assignments.assigning import Place
from fleet.db import db, transaction
from fleet.devices.models import DeviceState
from fleet.schools.models import School
from tests import factories
from tests.browser.conftest import DESKTOP, PHONE, Open, Site
from tests.browser.test_pages import violations

pytestmark = [pytest.mark.browser, pytest.mark.serves]
_WIFI = {"ssid": "skole", "security": "wpa2", "password": "meget hemmelig"}


def profile(site: Site, name: str, settings: Mapping[str, Any], *, assigned: bool = True) -> None:
    """Make a profile that the first school has, or nobody."""
    with site.app.app_context(), transaction():
        version = factories.published(name, **settings)
        if assigned:
            school = db.session.get_one(School, site.world.school.id)
            factories.assign(version, Place.school(school), now=clock.now())


def desired(site: Site) -> str | None:
    """Return what the first school's tablet shall have, by its digest."""
    with site.app.app_context():
        found = db.session.get_one(DeviceState, site.world.tablet.id).desired_digest
        db.session.rollback()
        return found


def sound(page: Page) -> None:
    """Assert that a page is accessible and fits, by day and night, on desk and phone."""
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == [], (page.url, size, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], (page.url, size)
    page.set_viewport_size(DESKTOP)


def test_profile_is_changed_compared_and_published_and_the_tablet_gets_it(site: Site, open_page: Open) -> None:
    profile(site, "nettleser-prove", {"camera.allowed": False, "wifi.networks": [_WIFI]})
    before = desired(site)
    page = open_page("/profiles", "admin")
    page.get_by_role("link", name="nettleser-prove", exact=True).click()
    sound(page)
    page.get_by_role("link", name="Endre", exact=True).click()
    sound(page)
    page.get_by_label("Søk med vanlige ord").press_sequentially("lydnivå", delay=20)
    page.get_by_role("button", name="Høyeste lydnivå").click()
    expect(page.locator('[id="sound.volume_max_percent"]')).to_be_visible()
    page.locator('[id="sound.volume_max_percent"]').fill("40")
    page.locator('[id="camera.allowed"]').get_by_label("Tillatt").check()
    assert "hemmelig" not in page.content()
    page.get_by_role("button", name="Lagre og se virkningen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Publiser nettleser-prove")
    expect(page.locator(".effect-sum")).to_have_text(re.compile(r"Endrer \d nettbrett ved 1 skole"))
    expect(page.get_by_text(re.compile(r"1 innstilling blir løsere: Kamera \(\d\)"))).to_be_visible()
    expect(page.get_by_role("row", name="Kamera camera.allowed Sperret Tillatt løsere")).to_be_visible()
    sound(page)
    assert desired(site) == before
    page.get_by_label("Hva som er endret, og hvorfor").fill("Kamera til alle")
    page.get_by_role("button", name="Publiser versjon 2").click()
    expect(page.get_by_role("status").first).to_contain_text(
        re.compile(r"versjon 2 er publisert. \d nettbrett får den.")
    )
    assert desired(site) != before
    after = desired(site)
    page.get_by_role("button", name="Angre").click()
    expect(page.get_by_role("status").first).to_contain_text(re.compile(r"\d nettbrett får tilbake det de hadde."))
    assert desired(site) == before
    page.get_by_role("link", name="Endre", exact=True).click()
    page.locator('[id="camera.allowed"]').get_by_label("Sperret").check()
    page.get_by_role("button", name="Lagre og se virkningen").click()
    page.get_by_role("button", name="Publiser versjon 3").click()
    expect(page.get_by_role("status").first).to_contain_text("versjon 3 er publisert")
    assert desired(site) not in {before, after}


def test_losing_the_only_wifi_is_stopped_until_the_number_is_typed(site: Site, open_page: Open) -> None:
    profile(site, "bare-nett", {"wifi.networks": [{**_WIFI, "ssid": "bare-her"}]})
    with site.app.app_context(), transaction():
        other = factories.school("Skolen uten nett")
        factories.tablets(other, 2)
        version = factories.published("eneste-nett", **{"wifi.networks": [_WIFI]})
        factories.assign(version, Place.school(other), now=clock.now())
    page = open_page("/profiles/eneste-nett/edit", "admin")
    page.get_by_role("button", name="Ta ut: Trådløse nett").click()
    expect(page.locator('input[name="keys"]')).to_have_count(0)
    page.get_by_role("button", name="Lagre og se virkningen").click()
    expect(page.get_by_text("2 nettbrett mister det eneste nettet de kjenner")).to_be_visible()
    field = page.get_by_label("Skriv hvor mange nettbrett som mister nettet")
    field.fill("1")
    page.get_by_role("button", name="Publiser versjon 2").click()
    expect(page.get_by_role("alert")).to_contain_text("Skriv antallet nettbrett hvis det er meningen.")
    sound(page)
    field.fill("2")
    page.get_by_role("button", name="Publiser versjon 2").click()
    expect(page.get_by_role("status").first).to_contain_text(re.compile(r"\d nettbrett får den."))


def test_text_says_by_line_what_is_wrong(site: Site, open_page: Open) -> None:
    profile(site, "som-tekst", {}, assigned=False)
    page = open_page("/profiles/som-tekst/toml", "admin")
    page.get_by_label("Profilen i TOML").fill('name = "som-tekst"\ntitle = "Tekst"\n[camera]\nalowed = false\n')
    page.get_by_role("button", name="Lagre utkastet").click()
    expect(page.get_by_role("alert")).to_contain_text("Linje 4: Det finnes ingen innstilling som heter camera.alowed.")
    sound(page)


def test_profile_is_dragged_to_a_row_or_chosen_by_its_cell(site: Site, open_page: Open) -> None:
    profile(site, "dra-meg", {"screenshots.allowed": False}, assigned=False)
    page = open_page("/assignments", "admin")
    sound(page)
    row = page.locator("tr", has=page.get_by_role("link", name="Prøveskolen", exact=True))
    page.get_by_role("link", name="dra-meg", exact=True).drag_to(row.locator("th"))
    expect(page.get_by_role("heading", level=1)).to_have_text("dra-meg for Prøveskolen")
    sound(page)
    page.get_by_role("button", name="Tildel versjon 1").click()
    expect(page.get_by_role("status").first).to_contain_text("dra-meg er tildelt Prøveskolen")
    page.get_by_role("link", name="Prøveskolen", exact=True).click()
    expect(page.get_by_role("link", name="dra-meg, 8B: Fra Prøveskolen")).to_be_visible()
    sound(page)
    page.get_by_role("link", name="dra-meg, Prøveskolen: Tildelt, versjon 1").click()
    page.get_by_role("link", name="Trekk tilbake").click()
    sound(page)
    page.get_by_role("button", name="Trekk tilbake").click()
    expect(page.get_by_role("status").first).to_contain_text("dra-meg er trukket tilbake fra Prøveskolen.")
    page.get_by_role("button", name="Angre").click()
    expect(page.get_by_role("status").first).to_contain_text("dra-meg er tilbake hos Prøveskolen.")


def test_editor_works_without_a_script(site: Site, open_page: Open) -> None:
    profile(site, "uten-skript", {"camera.allowed": False}, assigned=False)
    page = open_page("/profiles/uten-skript/edit", "admin", javascript=False)
    page.get_by_label("Søk med vanlige ord").fill("minnepinner")
    page.get_by_label("Søk med vanlige ord").press("Enter")
    page.get_by_role("button", name="USB-lagring").first.click()
    page.locator('[id="usb.storage_allowed"]').get_by_label("Sperret").check()
    page.get_by_role("button", name="Lagre utkastet").click()
    expect(page.get_by_text("Utkastet er lagret.")).to_be_visible()
    expect(page.get_by_role("row", name="USB-lagring usb.storage_allowed")).to_be_visible()
