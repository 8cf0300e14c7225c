"""The pages: what they show, to whom, and with how many statements."""

from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Role
from fleet.assignments.assigning import Place
from fleet.checkins.models import CheckIn
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.devices.models import DeviceLife
from fleet.web.catalogue import wanted
from fleet.web.languages import NAMES
from tests import factories, visiting
from tests.doors.policy import ROLES, filled, gathered
from tests.extent import extent
from tests.visiting import Visitor, World

MOST_STATEMENTS = 15


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    assert visitor.sign_in("admin").status_code == 303
    return visitor


def test_every_view_has_a_row_in_the_policy(app: Flask) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == set(gathered())


@pytest.mark.parametrize(
    ("role", "database_kind"),
    [*((role, "sqlite") for role in ROLES), *((role, "postgresql") for role in extent(["admin"], ROLES))],
    indirect=["database_kind"],
    scope="session",
)
def test_everybody_gets_what_the_policy_says_and_nothing_else(app: Flask, world: World, role: str) -> None:
    added = filled(app, world)
    visitor = Visitor(app)
    if role != "stranger":
        visitor.sign_in(role)
    got, expected = {}, {}
    rows = [row for rows in gathered().values() for row in rows]
    # Pages first, and signing out last.
    for address, statuses in sorted(rows, key=lambda row: (row[0].startswith("POST "), "sign-out" in row[0])):
        path = address.removeprefix("POST ").format(w=world, **added)
        answer = visitor.post(path, language="nb") if address.startswith("POST ") else visitor.get(path)
        got[address], expected[address] = answer.status_code, statuses[ROLES.index(role)]
    assert got == expected


@pytest.mark.parametrize("role", visiting.ROLES)
def test_living_part_shows_no_more_than_the_page(app: Flask, world: World, role: str) -> None:
    visitor = Visitor(app)
    visitor.sign_in(role)
    for path in (
        "/",
        f"/schools/{world.school.id}",
        f"/schools/{world.other_school.id}",
        "/tablets",
        "/tablets/OWN1",
        "/tablets/OWN1/why",
        "/tablets/OTHER1",
        f"/classes/{world.own_class.id}",
        "/findings",
    ):
        whole, living = visitor.get(path), visitor.refresh(path)
        assert whole.status_code == living.status_code
        if living.status_code == 200:
            assert "<html" not in living.text
            for serial in ("OWN1", "NEXT1", "OTHER1"):
                assert serial in whole.text or serial not in living.text


def test_teacher_sees_own_classes_tablets_only(app: Flask, world: World) -> None:
    visitor = Visitor(app)
    visitor.sign_in("teacher")
    # The words only: the forgery token's letters may be those of a class.
    overview, school, of_class = (
        visiting_text(visitor.get(path).text)
        for path in ("/", f"/schools/{world.school.id}", f"/classes/{world.own_class.id}")
    )
    assert "8B" in overview
    assert "9A" not in overview
    assert "Naboskolen" not in overview
    assert "8B" in school
    assert "9A" not in school
    assert "OWN1" in of_class  # a pupil's own tablet belongs to the class too
    assert "NEXT1" not in of_class


def add_one_in_each_state(app: Flask, world: World) -> None:
    """Give the school a tablet that is new, lost, retired, long not heard from, and late with its profile."""
    with app.app_context(), transaction():
        factories.device(world.school, serial="NEW1", life=DeviceLife.EXPECTED)
        factories.device(world.school, serial="LOST1", life=DeviceLife.LOST)
        factories.device(world.school, serial="GONE1", life=DeviceLife.RETIRED)
        quiet = factories.device(world.school, serial="QUIET1")
        factories.told(quiet, at=clock.now() - timedelta(days=2), applied=factories.shall_have(quiet))
        late = factories.device(world.school, serial="LATE1")
        factories.shall_have(late)
        factories.told(late, at=clock.now(), applied="0" * 64)


def test_overview_says_how_tablets_stand(app: Flask, world: World, admin: Visitor) -> None:
    add_one_in_each_state(app, world)
    page = " ".join(visiting_text(admin.get("/").text).split())
    for words in (
        "1 ting trenger noen Trenger deg nå Kom i gang",
        "Hørt fra siste døgn av 5 4 siste time",
        "Har profilen sin av 5", "I orden av 5 1 bør sees på",
        "1 ikke registrert ennå 1 meldt tapt 6 3 3 75 % 1 0", "1 har profilen sin 1 1 1 100 % 0 0",
        "Alle skoler", "7 4 4 80 % 1 0",
    ):  # fmt: skip
        assert words in page


def test_empty_server_says_what_comes_next(app: Flask) -> None:
    with transaction():
        factories.account("admin", (Role.MUNICIPAL_ADMIN, None), password=visiting.PASSWORD)
    visitor = Visitor(app)
    visitor.sign_in("admin")
    assert "Ingen skole ennå" in visitor.get("/").text


def test_figure_and_list_count_the_same_tablets(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        factories.device(world.school, serial="GONE1", life=DeviceLife.RETIRED)
    school, tablets = (
        " ".join(visiting_text(admin.get(path).text).split())
        for path in (f"/schools/{world.school.id}", f"/tablets?school={world.school.id}")
    )
    assert "Nettbrett 2 2 i bruk" in school
    assert "2 nettbrett" in tablets


def test_tablet_page_says_why_and_when(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        base = factories.published("kommune-grunn", **{"camera.allowed": True, "apps.required": ["no.example.game"]})
        lesson = factories.published("lesing", **{"camera.allowed": False, "apps.blocked": ["no.example.game"]})
        wifi = {"ssid": "skole", "security": "wpa2", "password": "meget hemmelig"}
        secret = factories.published("nett", **{"wifi.networks": [wifi]})
        now = clock.now()
        factories.assign(base, Place.municipality(), now=now - timedelta(days=2))
        factories.assign(secret, Place.school(db.session.merge(world.school)), now=now - timedelta(days=1))
        factories.assign(lesson, Place.school_class(db.session.merge(world.own_class)), now=now - timedelta(minutes=5))
        row = {"device_id": world.tablet.id, "report_id": "x", "clock_offset_s": 0}
        db.session.add(
            CheckIn(
                **row,
                sequence=1,
                received_at=now - timedelta(hours=3),
                battery_percent=87,
                storage_free_bytes=5_300_000_000,
            )
        )
    text = " ".join(
        visiting_text(admin.get(f"/tablets/OWN1{tab}").text) for tab in ("", "/why", "/timeline", "/orders")
    )
    text = " ".join(text.split())
    for words in (
        "Kamera camera.allowed Sperret lesing versjon 1 Klasse 8B Det strengeste gjelder: av vinner kommune-grunn versjon 1 Kommune ville ha: Tillatt",
        "Tatt ut fordi det er blokkert: no.example.game",
        "Trådløse nett wifi.networks skjult nett versjon 1 Skole Prøveskolen",
        "Elev Elev Prøve",
        "I bruk i 8B ved Prøveskolen; venter på profilen sin; sist hørt akkurat nå.",
        "Meldte seg",
        "Blokkert app no.example.game er blokkert, men er installert.",
        "1 åpent funn",
        "Nettbrettet har ikke hatt noen ordrer.",
    ):
        assert words in text
    assert "meget hemmelig" not in text


def test_school_list_has_no_pupils_names(world: World, admin: Visitor) -> None:
    assert "Elev Prøve" not in admin.get(f"/schools/{world.school.id}").text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/schools",
        "/schools/{w.school.id}",
        "/classes/{w.own_class.id}",
        "/tablets/OWN1",
        "/findings",
        "/search?q=prøve",
    ],
)
def test_page_asks_the_database_a_bounded_number_of_times(
    app: Flask, world: World, admin: Visitor, statements: list[str], path: str
) -> None:
    address = path.format(w=world)
    counts = []
    for round_ in range(2):
        assert admin.get(address).status_code == 200  # what never changes under its digest is read once
        statements.clear()
        assert admin.get(address).status_code == 200
        counts.append(len(statements))
        with app.app_context(), transaction():
            for number in range(5):
                school = factories.school(f"Skole {round_}{number}")
                factories.school_class(school, "1A")
                for device in factories.tablets(
                    db.session.merge(world.school), 10, of_class=db.session.merge(world.own_class)
                ):
                    visiting.finding(device, FindingKind.OS_OUTDATED)
    assert counts[0] == counts[1]
    assert counts[0] <= MOST_STATEMENTS


HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "{{ 7 * 7 }}", "{% raw %}", "javascript:alert(1)",
    "</table><svg/onload=alert(1)>", "&lt;b&gt;", "\u202egnp.exe", "%(num)d %s", "<!--", "]]>", "<a href=javascript:alert(1)>x</a>",
]  # fmt: skip


class Reader(HTMLParser):
    """Collects what a browser would see as markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def visiting_text(page: str) -> str:
    """Return the words of a page."""
    reader = Reader()
    reader.feed(page)
    return " ".join(reader.words)


def words(page: str) -> str:
    """Return a page's text in one line."""
    return " ".join(visiting_text(page).split())


def runnable(page: str) -> Iterator[str]:
    """Return what in a page could run: each finding is a fault."""
    reader = Reader()
    reader.feed(page)
    for tag, attributes in reader.tags:
        if tag == "script" and not str(attributes.get("src", "")).startswith("/static/"):
            yield f"script {attributes}"
        if tag in {"img", "iframe", "object", "embed", "base", "style"}:
            yield tag
        yield from (name for name in attributes if name.startswith("on") or name == "style")
        # What is only spoken leads nowhere.
        leading = (str(value) for name, value in attributes.items() if name != "aria-label")
        yield from (value for value in leading if value.lower().lstrip().startswith("javascript:"))


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_tablet_or_a_file_tells_is_shown_as_text(
    app: Flask, world: World, admin: Visitor, text: str
) -> None:
    with app.app_context(), transaction():
        device = db.session.merge(world.tablet)
        device.serial, device.asset_tag, device.model = f"S{text.upper()}"[:64], text, text
        device.state.facts = {"os_version": text, "model": text, "apps": []}
        device.state.failures = [{"key": text, "reason": text}]
        if device.person is not None:
            device.person.given_name = text
        db.session.merge(world.school).name = text
        db.session.merge(world.own_class).title = text
        visiting.finding(device, FindingKind.APP_MISSING, text)
        visiting.finding(device, FindingKind.OS_OUTDATED, found=text, expected=text)
        visiting.finding(device, FindingKind.SETTINGS_FAILED, settings=[text])
        factories.assign(
            factories.published(text, **{"lock_screen.message": text}),
            Place.school_class(db.session.merge(world.own_class)),
        )
    for path in (
        "/",
        f"/schools/{world.school.id}?q={'%22%3E%3Cscript%3E'}",
        f"/schools/{world.school.id}",
        "/findings",
    ):
        page = admin.get(path)
        assert page.status_code == 200
        assert list(runnable(page.text)) == []
    if "/" not in text:  # real serials are letters, digits and hyphens
        with app.test_request_context():
            path = app.url_for("web.tablet", serial=f"S{text.upper()}"[:64])
        page = admin.get(path)
        assert page.status_code == 200
        assert list(runnable(page.text)) == []
        assert visiting_text(page.text).count(text) >= 6


@pytest.mark.parametrize("language", NAMES)
def test_pages_speak_every_language(app: Flask, world: World, admin: Visitor, language: str) -> None:
    admin.post("/language", page="/", language=language)
    own = {"nb": "Åpne funn", "nn": "Opne funn", "en": "Open findings"}
    page = admin.get("/findings").text
    assert f'<html lang="{language}"' in page
    assert own[language] in page
    assert not [words for code, words in own.items() if code != language and words in page]


def test_every_text_of_the_pages_is_in_the_catalogue() -> None:
    found: set[Any] = {message.id for message in wanted()}
    assert {"Sign in", ("%(num)d tablet", "%(num)d tablets"), "Camera"} <= found
