"""Today: what needs somebody, in its order and with the ways there; the calm day; and what is counted."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from fleet import clock, orders
from fleet.access import Grant, Principal, Role
from fleet.assignments import assigning
from fleet.compliance.models import Finding, FindingKind
from fleet.crypto import vault_key
from fleet.db import db, transaction
from fleet.devices import tickets
from fleet.devices.models import DeviceLife
from fleet.devices.tickets import Place
from fleet.job_runs import JobOutcome, JobRun
from fleet.mdm import errands, listed
from fleet.mdm.licence_token import LicenceTokenKeeper
from fleet.mdm.listed import Listed
from fleet.mdm.push_keeper import PushKeeper
from fleet.mdm.token_keeper import TokenKeeper
from fleet.orders import OrderKind, Wish
from fleet.reports import figures
from fleet.reports.models import DayFigures
from fleet.schools import first_run
from fleet.schools.models import Municipality
from fleet.web.needs import LINES
from tests import apns, apps_and_books, factories, visiting
from tests.doors.test_web_pages import words
from tests.lessons import OSLO
from tests.school_manager import token_file
from tests.visiting import World, visit

CLI = Principal.command_line()
OTHER_ADMIN = Principal("account", "4711", grants=(Grant(Role.MUNICIPAL_ADMIN, None),))


@pytest.fixture
def world(app: Flask) -> World:
    """Return the small municipality, whose first run is over."""
    made = visiting.build(app)
    with app.app_context(), transaction():
        db.session.add(Municipality(id=1, name="Prøvekommune"))
        db.session.flush()
        first_run.end(by=CLI, now=clock.now())
    return made


def trouble(app: Flask, world: World, *, times: int = 1) -> dict[str, str]:
    """Bring about something for each card; returns what the list behind each must hold."""
    now = clock.now()
    with app.app_context(), transaction():
        db.session.get_one(Municipality, 1).setup_ended_at = None
        school = db.session.merge(world.school)
        for _time in range(times):
            silent = factories.device(school, class_id=world.next_class.id)
            missing, failed, wiped = (factories.enrolled(school, channel="apple") for _each in range(3))
            visiting.finding(silent, FindingKind.SILENT)
            visiting.finding(missing, FindingKind.PROFILE_MISSING)
            visiting.finding(failed, FindingKind.SETTINGS_FAILED)
            pending = factories.device(school, life=DeviceLife.PENDING)
            ticket, _code = tickets.create(
                Place(school), expires_at=now + timedelta(days=2), max_enrolments=5, by=CLI, now=now
            )
            (order,) = orders.queue(
                [wiped], Wish(OrderKind.WIPE, reason="Glemt igjen på bussen"), by=OTHER_ADMIN, now=now
            )
        db.session.add(
            JobRun(
                job="retention", slot=now, epoch=7, outcome=JobOutcome.FAILED, started_at=now, ended_at=now, counts={},
                error="OperationalError",
            )
        )  # fmt: skip
        return {
            "silent": silent.serial, "failed": missing.serial, "tickets": f'id="ticket-{ticket.id}"',
            "pending": pending.serial, "asked": f'id="order-{order.id}"', "jobs": 'href="/jobs/retention"',
            "setup": 'id="step-',
        }  # fmt: skip


def cards(page: str) -> dict[str, str]:
    """Return the cards by name, in their order."""
    found = re.split(r'<li class="ds-card need" data-color="\w+" id="need-(\w+)">', page.partition('id="fleet"')[0])
    return dict(zip(found[1::2], found[2::2], strict=True))


def ways(card: str) -> list[str]:
    return [found.replace("&amp;", "&") for found in re.findall(r'href="([^"]+)"', card)]


def test_cards_stand_in_their_order_and_each_leads_to_what_it_counts(app: Flask, world: World) -> None:
    holds = trouble(app, world)
    admin = visit(app, "admin")
    found = cards(admin.get("/").text)
    assert list(found) == ["silent", "failed", "tickets", "pending", "asked", "jobs", "setup"]
    for name, card in found.items():
        pages = {way: admin.get(way) for way in ways(card)}
        assert pages
        assert {page.status_code for page in pages.values()} == {200}, name
        assert any(holds[name] in page.text for page in pages.values()), name


def test_cards_say_how_many_and_since_when(app: Flask, world: World) -> None:
    trouble(app, world, times=LINES + 2)
    found = {name: words(card) for name, card in cards(visit(app, "admin").get("/").text).items()}
    counted = {name: card.split()[0] for name, card in found.items()}
    many = str(LINES + 2)
    assert counted | {"setup": ""} == {
        "silent": many, "failed": str(2 * (LINES + 2)), "tickets": many, "pending": many, "asked": many, "jobs": "1",
        "setup": "",
    }  # fmt: skip
    assert "9A, Prøveskolen" in found["silent"]
    assert found["tickets"].count("5 plasser igjen") == LINES
    assert "Rydding Mislyktes" in found["jobs"]


def test_two_kinds_of_failure_lead_each_to_their_own_list_and_one_to_all_of_it(app: Flask, world: World) -> None:
    trouble(app, world)
    admin = visit(app, "admin")
    two = ["/findings?attention=needs&kind=profile-missing", "/findings?attention=needs&kind=settings-failed"]
    assert ways(cards(admin.get("/").text)["failed"]) == two
    with app.app_context(), transaction():
        db.session.query(Finding).filter_by(kind=FindingKind.SETTINGS_FAILED).delete()
    assert set(ways(cards(admin.get("/").text)["failed"])) == {two[0]}


def test_card_is_for_whoever_may_do_something_about_it_where_it_is(app: Flask, world: World) -> None:
    trouble(app, world)
    assert list(cards(visit(app, "it").get("/").text)) == ["silent", "failed", "tickets", "pending", "asked"]
    other = visit(app, "other-it").get("/").text
    assert cards(other) == {}
    assert "Alt er rolig" in words(other)
    assert cards(visit(app, "teacher").get("/").text) == {}


def test_day_on_which_nothing_is_needed_says_so(app: Flask, world: World) -> None:
    page = visit(app, "admin").get("/").text
    assert cards(page) == {}
    assert "Alt er rolig" in words(page)
    assert "Ingenting trenger noen nå." in words(page)


def test_lines_are_drawn_when_two_days_are_counted_with_the_days_in_a_table(app: Flask, world: World) -> None:
    admin, now = visit(app, "admin"), clock.now()
    with app.app_context(), transaction():
        figures.record(now=now, timezone=OSLO)
    assert 'class="spark' not in admin.get("/").text
    with app.app_context(), transaction():
        today = now.astimezone(OSLO).date()
        for back in (1, 2):
            db.session.add(
                DayFigures(
                    school_id=world.school.id, on=today - timedelta(days=back), tablets=9, enrolled=8, seen=7, applied=6,
                    compliant=5, lessons=4,
                )
            )  # fmt: skip
    page = admin.get("/").text
    assert page.count('class="spark-line"') == 4
    table = page.partition('id="days-title"')[2].partition("</table>")[0]
    rows = [words(row) for row in table.split("<tr>")[2:]]
    assert rows[0].startswith("i dag, så langt 3 3 3 2 0")
    assert [row.endswith("8 7 6 5 4") for row in rows[1:]] == [True, True]


def test_page_asks_the_database_as_often_for_much_trouble_as_for_some(
    app: Flask, world: World, statements: list[str]
) -> None:
    trouble(app, world)
    admin = visit(app, "admin")
    counts = []
    for _round in range(2):
        statements.clear()
        assert admin.get("/").status_code == 200
        counts.append(len(statements))
        with app.app_context(), transaction():
            school = factories.school("Enda en skole")
            for device in factories.tablets(school, 20):
                visiting.finding(device, FindingKind.SILENT)
    assert counts[0] == counts[1] <= 15


def test_findings_that_have_no_card_are_told_with_the_way_to_them(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        visiting.finding(db.session.merge(world.next_tablet), FindingKind.OS_OUTDATED)
        visiting.finding(db.session.merge(world.other_tablet), FindingKind.APP_BLOCKED, "no.example.game")
    page = visit(app, "admin").get("/").text
    others = page.partition('id="other-findings"')[2].partition("</div>")[0]
    assert words(others).endswith("3 andre funn Blokkert app: 2 Gammelt system: 1")
    assert 'href="/findings?attention=needs&amp;kind=app-blocked"' in others
    assert "Nettbrett i en økt nå" in words(page)


def test_page_of_findings_is_called_as_the_menu_calls_it(app: Flask, world: World) -> None:
    page = visit(app, "admin").get("/findings").text
    assert re.search(r"<h1[^>]*>Funn</h1>", page)
    assert "<title>Funn" in page
    assert "Oversikt" not in words(page)


def test_why_says_what_a_profile_says_in_the_profiles_own_words(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        version = factories.published("ungdomsskole", **{"camera.allowed": False, "passcode.min_length": 6})
        version.profile.title = "Ungdomsskole"
        factories.assign(version, assigning.Place.school(db.session.merge(world.school)))
    admin = visit(app, "admin")
    why, profile = words(admin.get("/tablets/OWN1/why").text), words(admin.get("/profiles/ungdomsskole").text)
    assert "Kamera camera.allowed Sperret Ungdomsskole versjon 1" in why
    for told in ("Sperret", "6 tegn", "Ungdomsskole"):
        assert told in why
        assert told in profile


@pytest.mark.parametrize(
    ("days", "told"),
    [(90, None), (61, None), (40, "39 dager til iPader ikke hører noe"), (-2, "iPader hører ikke noe lenger")],
)
def test_the_end_of_the_push_certificate_is_told_in_time(
    app: Flask, world: World, tmp_path: Path, days: int, told: str | None
) -> None:
    keeper = PushKeeper(tmp_path, vault_key(tmp_path / "vault.key", may_create=True))
    keeper.keep(apns.Authority().push_certificate(days=days))
    app.extensions["fleet_push_keeper"] = keeper
    try:
        admin, it = (cards(visit(app, username).get("/").text) for username in ("admin", "it"))
    finally:
        del app.extensions["fleet_push_keeper"]
    assert "certificate" not in it
    assert ("certificate" in admin) == (told is not None)
    if told is not None:
        assert told in words(admin["certificate"])


@pytest.mark.parametrize(("days", "step"), [(90, None), (40, "39"), (-2, "")])
def test_the_end_of_the_server_token_is_told_in_time(
    app: Flask, world: World, tmp_path: Path, days: int, step: str | None
) -> None:
    keeper = TokenKeeper(tmp_path, vault_key(tmp_path / "vault.key", may_create=True))
    now = clock.now()
    made = keeper.certificate(now=now)
    brought = token_file(made, expires_at=now + timedelta(days=days, minutes=-1))
    keeper.take(brought, by=CLI, now=now - timedelta(days=3))
    app.extensions["fleet_token_keeper"] = keeper
    try:
        admin, it = (cards(visit(app, username).get("/").text) for username in ("admin", "it"))
    finally:
        del app.extensions["fleet_token_keeper"]
    assert "token" not in it
    assert ("token" in admin) == (step is not None)
    if step is not None:
        assert step in words(admin["token"])


def test_ipads_that_would_be_turned_away_and_terms_that_nobody_accepted_are_told(app: Flask, world: World) -> None:
    now = clock.now()
    with app.app_context(), transaction():
        listed.note([Listed("NEW1", "iPad 10th Gen", "", "iPad", None)], now=now)
        turn = errands.take(listed.SCHOOL_MANAGER, hold=timedelta(minutes=1), now=now)
        assert turn is not None
        errands.failed(turn, "terms-not-accepted", memory={}, after=None, now=now)
    admin, it = (cards(visit(app, username).get("/").text) for username in ("admin", "it"))
    assert {"listing", "unlisted"} <= set(admin)
    assert not {"listing", "unlisted"} & set(it)
    assert "NEW1" in words(admin["unlisted"])
    assert ways(admin["unlisted"])[0] == "/imports"


@pytest.mark.parametrize(("days", "step"), [(90, None), (40, "39"), (-2, "")])
def test_the_end_of_the_token_for_apps_and_books_is_told_in_time(
    app: Flask, world: World, tmp_path: Path, days: int, step: str | None
) -> None:
    keeper = LicenceTokenKeeper(tmp_path, vault_key(tmp_path / "vault.key", may_create=True))
    now = clock.now()
    brought = apps_and_books.token_file(expires_at=now + timedelta(days=days, minutes=-1))
    keeper.take(brought, other_organisation=False, by=CLI, now=now - timedelta(days=3))
    app.extensions["fleet_licence_keeper"] = keeper
    try:
        admin, it = (cards(visit(app, username).get("/").text) for username in ("admin", "it"))
    finally:
        del app.extensions["fleet_licence_keeper"]
    assert "licences" not in it
    assert ("licences" in admin) == (step is not None)
    if step is not None:
        assert step in words(admin["licences"])
