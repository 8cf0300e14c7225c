"""Android tablets on the pages of lessons: what is said before, meanwhile and after of the end, and of what is less."""

from datetime import time, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.db import db, transaction
from fleet.devices.models import Platform
from fleet.lessons import plans, sharing, timetable
from fleet.lessons.models import SetKind
from fleet.orders import Order
from tests import factories, lessons, teaching
from tests.conftest import NOW
from tests.doors.test_web_lessons import MOST_STATEMENTS, start_page
from tests.lessons import MINUTE, OSLO, UNTIL
from tests.teaching import Teaching, words
from tests.visiting import Visitor

BY_CLOCK = "etter sin egen klokke"
OPENS_SHEET = 'thumb-button" data-variant="secondary" popovertarget="send-sheet"'


@pytest.fixture
def school(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Teaching:
    """Make a class with three Android tablets and an iPad; that one was heard from yesterday."""
    made = teaching.build(app, monkeypatch)
    with app.app_context(), transaction():
        *android, ipad = made.rows(*made.tablets)
        lessons.on_channel("headwind", *android)
        lessons.on_channel("apple", ipad)
    return made


@pytest.fixture
def kari(school: Teaching) -> Visitor:
    return school.visitor()


def seen(school: Teaching, places: list[int], minutes: int) -> None:
    """Have tablets asked so many minutes after the start, which it is then."""
    at = NOW + minutes * MINUTE
    school.at(at)
    with school.app.app_context(), transaction():
        lessons.seen([school.tablets[place].id for place in places], at=at, now=at)


def test_before_the_start_it_is_said_how_many_need_a_network_for_the_end(school: Teaching, kari: Visitor) -> None:
    told = "3 Android-nettbrett må ha nett når økten slutter, ellers beholder de den til de får nett"
    assert told in words(kari.get(start_page(school)).text)
    assert told in words(kari.refresh(start_page(school)).text)


def test_where_all_end_by_their_own_clock_nothing_is_said(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = teaching.build(app, monkeypatch)
    visitor = usual.visitor()
    assert "Android" not in visitor.get(start_page(usual)).text
    address = usual.start(visitor)
    usual.obeyed([0, 1, 2], NOW)
    for minutes in (5, 60):
        usual.at(NOW + minutes * MINUTE)
        assert "Android" not in visitor.get(address).text
    assert BY_CLOCK in visitor.get(address).text


def test_each_set_says_what_kinds_of_tablets_have_less_of_it(
    school: Teaching, kari: Visitor, statements: list[str]
) -> None:
    with school.app.app_context(), transaction():
        by = school.principal("admin")
        version = factories.published("lyd", **{"sound.locked": True})
        sharing.share(school=None, title="Stille", kind=SetKind.PROFILE, profile=version.profile, by=by, now=NOW)
        sharing.share(school=None, title="Låst", kind=SetKind.APPS, apps=["no.a"], locked=True, by=by, now=NOW)
    statements.clear()
    page = words(kari.get(start_page(school)).text)
    assert len(statements) <= MOST_STATEMENTS
    assert "Stille fra skolen 1 iPad: ikke alt 1 iPad: virker ikke: Lås lydnivået" in page
    less = "3 Android-nettbrett: kan ikke låses til én app; de andre appene skjules"
    assert f"Låst Bare disse appene · fra skolen 3 Android-nettbrett: ikke alt {less}" in page
    assert "Bare leksikon Bare disse nettadressene · fra skolen 3 Android-nettbrett: bare i Chrome" in page
    assert "Lesing Bare disse appene · fra skolen 3 Android-nettbrett: ikke alt" not in page
    assert f"Bare disse appene {less}" in page  # the quick one
    assert "virker ikke: Talehjelper, Diktering, Slå opp ord, Autokorrektur, Stavekontroll, Ordforslag, " in page


def test_while_it_runs_it_is_said_who_is_out_of_contact(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    school.obeyed([0, 1], NOW)
    needs = "3 Android-nettbrett må ha nett når økten slutter"
    page = words(kari.get(address).text)
    assert needs in page
    assert "uten kontakt" not in page
    seen(school, [1], 10)
    page = words(kari.refresh(f"{address}?stage=running").text)
    assert f"{needs} · uten kontakt nå: Elev0 Prøve" in page
    assert "Elev0 uten kontakt" in page
    assert "Elev1 har det" in page
    goes_back = "2 nettbrett går tilbake til vanlig om noen sekunder. Du kan starte økten igjen etterpå."
    assert f"{goes_back} 1 uten kontakt følger etter når det får nett." in page
    sheet = words(kari.get(f"{address}/tablets/{school.tablets[0].id}").text)
    assert "uten kontakt siden 10:15; beholder økten til det får nett" in sheet
    assert "Avslutter økten bare med nett" in sheet
    assert "Avslutter økten" not in words(kari.get(f"{address}/tablets/{school.tablets[3].id}").text)


def test_a_pupils_page_says_setting_by_setting_what_the_tablet_does_instead(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari, quick="exam", exam_apps="no.example.math", exam_locked="yes", exam_hosts="snl.no")
    sheet = words(kari.get(f"{address}/tablets/{school.tablets[0].id}").text)
    assert "kan ikke låses til én app; de andre appene skjules" in sheet
    assert "snl.no bare i Chrome; andre nettlesere skjules" in sheet
    assert sheet.count("virker ikke på dette nettbrettet") == 7


def test_the_receipt_says_who_keeps_the_lesson_until_it_has_a_network(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari, everybody="yes")
    school.obeyed([0, 1, 2, 3], NOW)
    seen(school, [2], 45)
    school.at(UNTIL + 2 * MINUTE)
    page = words(kari.get(address).text)
    assert "Ikke tilbake ennå uten kontakt siden 10:15; beholder økten til det får nett" in page
    assert f"Android-nettbrett går tilbake straks de får nett, de andre {BY_CLOCK}, også uten oss." in page
    school.obeyed([3], UNTIL + 2 * MINUTE)
    page = words(kari.get(address).text)
    assert "Android-nettbrett går tilbake straks de får nett." in page
    assert BY_CLOCK not in page
    school.at(NOW + timedelta(days=1))
    assert "uten kontakt siden 14. sep. 2026 10:15; beholder økten" in words(school.visitor().get(address).text)


def test_of_a_planned_lesson_it_is_said_too(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        now = NOW - 5 * MINUTE
        plans.plan(
            *school.rows(school.own, school.web), on=NOW.date(), starts_at=time(10, 20), ends_at=time(11, 0), holder_id=None,
            by=school.principal("kari"), now=now, timezone=OSLO,
        )  # fmt: skip
        timetable.begin_due(now=NOW, timezone=OSLO)
        lesson_id = school.lesson().id
    page = words(kari.get(f"/lessons/{lesson_id}").text)
    assert "3 Android-nettbrett må ha nett når økten slutter" in page


def test_nothing_is_offered_to_send_where_no_tablet_can_have_it(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari, everybody="yes")
    assert OPENS_SHEET not in kari.get(address).text
    assert "/message" not in kari.get(f"{address}/tablets/{school.tablets[0].id}").text
    answer = kari.post(f"{address}/message", page=address, text="Hei")
    assert "4 av disse nettbrettene kan ikke det" in words(kari.get(answer.location).text)


def test_in_a_mixed_class_a_message_goes_to_those_that_can_have_it(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        lessons.on_channel("native", *school.rows(school.tablets[1]), platform=Platform.LINUX)
    address = school.start(kari, everybody="yes")
    page = kari.get(address).text
    assert OPENS_SHEET in page
    assert '<p class="hint" id="untold">3 ' in page
    assert "/message" in kari.get(f"{address}/tablets/{school.tablets[1].id}").text
    kari.post(f"{address}/message", page=address, text="Hei")
    with school.app.app_context():
        assert [one.device_id for one in db.session.scalars(select(Order)).all()] == [school.tablets[1].id]


def test_before_the_start_a_tablet_is_called_by_its_asset_tag_as_in_the_lesson(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        (one,) = school.rows(school.tablets[0])
        one.person_id, one.class_id, one.asset_tag = None, school.own.id, "N-001"
        serial = one.serial
    page = words(kari.get(start_page(school)).text)
    assert "N-001" in page
    assert serial not in page
