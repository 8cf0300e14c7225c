"""A class with Android tablets in a real browser: accessible by day and night, on desk and phone."""

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from fleet import clock
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceState, Platform
from fleet.lessons import sharing
from fleet.lessons.models import SetKind
from fleet.people import accounts
from fleet.schools.models import SchoolClass
from tests import lessons
from tests.browser.conftest import Open, Site
from tests.browser.test_lessons import Room, look, room, start, unfold

__all__ = ["room"]

pytestmark = [pytest.mark.browser, pytest.mark.serves]


@pytest.fixture
def mixed(room: Room, site: Site) -> Room:
    """Let the class have three Android tablets and an iPad, and two of our own; and sets that not all of them have."""
    now = clock.now()
    with site.app.app_context(), transaction():
        devices = [db.session.get_one(Device, one) for one in room.device_ids]
        lessons.on_channel("headwind", *devices[:3])
        lessons.on_channel("apple", devices[3], platform=Platform.IPADOS)
        at = db.session.get_one(SchoolClass, room.class_id).school
        by = accounts.principal(accounts.find("admin"), today=now.date())
        sharing.share(school=at, title="Prøve", kind=SetKind.EXAM, apps=["no.prove"], locked=True, by=by, now=now)
    return room


def test_before_meanwhile_and_after_are_accessible_and_fit_a_thumb(mixed: Room, site: Site, open_page: Open) -> None:
    page = open_page(mixed.path, mixed.username)
    expect(page.locator(".forecast")).to_contain_text("3 Android-nettbrett må ha nett når økten slutter")
    exam = page.locator(".set-card", has_text="Prøve")
    expect(exam.get_by_text("3 Android-nettbrett: ikke alt")).to_be_visible()
    more = page.get_by_text("3 Android-nettbrett: kan ikke låses til én app; de andre appene skjules; virker ikke")
    expect(more.first).to_be_hidden()
    exam.click()
    expect(more.first).to_be_visible()
    unfold(page)
    look(page)
    page.goto(site.address(mixed.path))
    page.locator(".set-card", has_text="Prøve").click()
    start(page)
    mixed.obeyed(4)
    with site.app.app_context(), transaction():
        now = clock.now()
        lessons.seen(mixed.device_ids[:1], at=now - timedelta(minutes=5), now=now)
        db.session.get_one(DeviceState, mixed.device_ids[0]).last_seen_at = now - timedelta(minutes=5)
    expect(page.locator(".face.is-away")).to_contain_text("uten kontakt")
    look(page)
    page.locator(".face.is-away").click()
    expect(page.get_by_role("dialog")).to_contain_text("kan ikke låses til én app")
    look(page)
    page.get_by_role("button", name="Lukk").click()
    page.get_by_role("button", name="Avslutt", exact=True).click()
    look(page)
    page.keyboard.press("Escape")
    mixed.clock_ends()
    expect(page.get_by_text("Ferdig")).to_be_visible()
    expect(page.locator("#needs")).to_contain_text("beholder økten til det får nett")
    look(page)
