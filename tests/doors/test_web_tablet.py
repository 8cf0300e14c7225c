"""A tablet's pages: what would be if, what happened, notes, whose own it is; schools, classes and the search."""

import re
from datetime import timedelta

import pytest
from flask import Flask

from fleet import clock
from fleet.assignments import leases
from fleet.assignments.assigning import Place
from fleet.assignments.leases import Held
from fleet.checkins.models import CheckIn
from fleet.compliance.models import FindingKind
from fleet.db import changed, db, transaction
from fleet.devices.models import Device, DeviceHolder, DeviceNote, DeviceState, Enrolment, Platform
from fleet.web.home_screen import home
from tests import factories, visiting
from tests.doors.test_web_pages import words
from tests.visiting import Visitor, World, visit

KEY = "passcode.min_length"


@pytest.fixture
def world(app: Flask) -> World:
    made = visiting.build(app)
    with app.app_context(), transaction():
        db.session.add(Enrolment(device_id=made.tablet.id, channel="native", enrolled_at=clock.now()))
    return made


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    return visit(app, "admin")


# -- why ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def layered(app: Flask, world: World) -> World:
    """Have the pupil's class, another class, a lesson and a night say different things of one setting."""
    now = clock.now()
    with app.app_context(), transaction():
        inside = {name: db.session.merge(row) for name, row in vars(world).items()}
        factories.assign(
            factories.published("kommune", **{KEY: 4, "camera.allowed": True}), Place.municipality(), now=now
        )
        factories.assign(factories.published("egen", **{KEY: 6}), Place.school_class(inside["own_class"]), now=now)
        factories.assign(factories.published("annen", **{KEY: 9}), Place.school_class(inside["next_class"]), now=now)
        night = factories.published("natt", **{KEY: 12})
        factories.assign(night, Place.municipality(), starts_at=now + timedelta(days=2), now=now)
        lease = leases.create(profile="lesing", version=1, place="8B", settings={KEY: 16}, now=now)
        leases.grant([Held(world.tablet.id, lease.id, now, now + timedelta(hours=1))])
    return world


def test_why_says_what_would_be_and_what_differs_from_now(layered: World, admin: Visitor) -> None:
    page = words(admin.get("/tablets/OWN1/why").text)
    assert "passcode.min_length 16 tegn lesing" in page
    assert "ville vært annerledes" not in page
    page = words(admin.get("/tablets/OWN1/why?ended=yes").text)
    assert "1 ville vært annerledes enn nå" in page
    assert "passcode.min_length 6 tegn nå: 16 tegn" in page
    page = words(admin.get(f"/tablets/OWN1/why?ended=yes&class={layered.next_class.id}").text)
    assert "passcode.min_length 9 tegn nå: 16 tegn" in page
    later = (clock.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    assert "passcode.min_length 12 tegn nå: 16 tegn" in words(admin.get(f"/tablets/OWN1/why?at={later}").text)


def test_why_says_what_the_tablet_cannot_have_by_its_kind_its_system_and_its_supervision(
    app: Flask, layered: World, admin: Visitor
) -> None:
    def unmet() -> list[str]:
        rows = re.findall(r'<th scope="row">.*?</tr>', admin.get("/tablets/OWN1/why?group=none").text, re.DOTALL)
        return sorted(re.findall(r'class="key">([^<]+)', row)[0] for row in rows if "removed unmet" in row)

    with app.app_context(), transaction():
        told = {"writing_tools.allowed": False, "sound.locked": True, "kiosk.app": "no.bok", "language.locale": "nb-NO"}
        factories.assign(factories.published("alt", **told), Place.municipality(), now=clock.now())
        state = db.session.get_one(DeviceState, layered.tablet.id)
        state.facts = {"os_version": "18.1", "flags": {"supervised": True}}
        db.session.get_one(Device, layered.tablet.id).platform = Platform.IPADOS
        for one in db.session.query(Enrolment).filter_by(device_id=layered.tablet.id):
            one.channel = "apple"
    assert unmet() == ["language.locale", "sound.locked"]
    with app.app_context(), transaction():
        state = db.session.get_one(DeviceState, layered.tablet.id)
        state.facts = {"os_version": "17.6.1", "flags": {"supervised": False}}
    assert unmet() == ["kiosk.app", "language.locale", "sound.locked", "writing_tools.allowed"]


def test_why_can_be_searched_and_grouped(layered: World, admin: Visitor) -> None:
    page = words(admin.get("/tablets/OWN1/why?q=kamera").text)
    assert "camera.allowed" in page
    assert KEY not in page
    assert "Ingen innstilling passer." in admin.get("/tablets/OWN1/why?q=finnesikke").text
    titles = re.findall(r'id="group-\d+">([^<]+)<', admin.get("/tablets/OWN1/why?group=profile").text)
    assert titles == ["kommune", "lesing"]
    assert len(re.findall(r'id="group-\d+"', admin.get("/tablets/OWN1/why?group=none").text)) == 1


def test_teacher_is_offered_no_class_that_is_not_theirs(app: Flask, layered: World) -> None:
    page = visit(app, "teacher").get(f"/tablets/OWN1/why?class={layered.next_class.id}&ended=yes").text
    assert "9A" not in words(page)
    assert "passcode.min_length 9" not in words(page)


# -- timeline ----------------------------------------------------------------------------------------------------------


def reports(device: Device, count: int, *, until_hours: int = 0) -> None:
    now = clock.now() - timedelta(hours=until_hours)
    db.session.add_all(
        CheckIn(
            device_id=device.id, sequence=number + 1, report_id=str(number), clock_offset_s=0,
            received_at=now - timedelta(minutes=count - number), applied_digest="a" * 64 if number else "b" * 64,
        )
        for number in range(count)
    )  # fmt: skip


def test_a_tablet_whose_agent_tells_flags_as_a_list_has_its_page(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        told = {"os_version": "12", "flags": ["rooted", "supervised"], "attributes": {"kernel": "6.1.0"}}
        db.session.get_one(DeviceState, world.tablet.id).facts = told
    answer = admin.get("/tablets/OWN1")
    assert answer.status_code == 200


def test_timeline_tells_everything_newest_first_and_gathers_reports(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        device = db.session.merge(world.tablet)
        reports(device, 30)
        changed("device", [device.id], now=clock.now() - timedelta(days=1))
    admin.post("/tablets/OWN1/notes", page="/tablets/OWN1", text="Sprekk i glasset")
    admin.post("/tablet-actions/ring", page="/tablets", ids=str(world.tablet.id), back="/tablets")
    admin.post("/tablets/OWN1/tag", page="/tablets/OWN1", asset_tag="NY-1")
    text = words(admin.get("/tablets/OWN1/timeline").text)
    for told in (
        "Merkelappen ble endret Prøve admin",
        "Ordre: Ring Prøve admin",
        "Sprekk i glasset · Prøve admin",
        "Blokkert app no.example.game er blokkert",
        "Har tatt i bruk en annen profil",
        "fikk nettbrettet",
        "Registrert",
    ):
        assert told in text
    assert re.search(r"Meldte seg \d\d ganger", text)
    places = [
        text.index(told)
        for told in ("Merkelappen ble endret", "Ordre: Ring", "Et notat ble skrevet", "fikk nettbrettet")
    ]
    assert places == sorted(places)


def test_teacher_sees_what_happened_but_not_what_staff_wrote_or_did(app: Flask, world: World, admin: Visitor) -> None:
    admin.post("/tablets/OWN1/notes", page="/tablets/OWN1", text="Sprekk i glasset")
    admin.post("/tablets/OWN1/tag", page="/tablets/OWN1", asset_tag="NY-1")
    for path in ("/tablets/OWN1", "/tablets/OWN1/timeline"):
        page = visit(app, "teacher").get(path).text
        assert "Sprekk" not in page
        assert "Merkelappen ble endret" not in page
        assert 'action="/tablets/OWN1' not in page


def test_timeline_pages_leave_nothing_out_and_repeat_nothing(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        device = db.session.merge(world.tablet)
        reports(device, 600)
        for number in range(150):
            visiting.finding(device, FindingKind.APP_MISSING, f"no.example.app{number:03}")
    seen: list[str] = []
    reported = 0
    path: str | None = "/tablets/OWN1/timeline"
    for _page in range(20):
        page = admin.get(path or "").text
        seen += re.findall(r"no\.example\.app\d{3}", page)
        reported += sum(int(number) for number in re.findall(r"Meldte seg (\d+) ganger", page))
        found = re.search(r'rel="next" href="([^"]+)"', page)
        path = found[1].replace("&amp;", "&") if found else None
        if path is None:
            break
    assert path is None
    assert len(seen) == len(set(seen)) == 150
    assert reported >= 590  # single ones between other things are told without a number


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/why?at=2030-01-01T10:00&class={w.next_class.id}",
        "/why?ended=yes",
        "/timeline",
        "/orders",
        "/edit?class={w.own_class.id}",
    ],
)
def test_pages_of_a_tablet_keep_the_bar_of_statements(
    app: Flask, layered: World, admin: Visitor, statements: list[str], path: str
) -> None:
    with app.app_context(), transaction():
        device = db.session.merge(layered.tablet)
        reports(device, 50)
        changed("device", [device.id], now=clock.now())
    admin.post("/tablets/OWN1/notes", page="/tablets/OWN1", text="Sprekk i glasset")
    admin.post("/tablet-actions/ring", page="/tablets", ids=str(layered.tablet.id), back="/tablets")
    address = f"/tablets/OWN1{path.format(w=layered)}"
    admin.get(address)
    statements.clear()
    assert admin.get(address).status_code == 200
    assert len(statements) <= 15


# -- notes, pupil ------------------------------------------------------------------------------------------------------


def test_note_is_written_kept_where_refused_and_removed(app: Flask, world: World, admin: Visitor) -> None:
    refused = admin.post("/tablets/OWN1/notes", page="/tablets/OWN1", text="x" * 1_200)
    assert refused.status_code == 400
    assert "x" * 1_200 in refused.text
    assert "Et notat har 1 til" in refused.text
    admin.post("/tablets/OWN1/notes", page="/tablets/OWN1", text="Sprekk i <b>glasset</b>")
    page = admin.get("/tablets/OWN1").text
    assert "Sprekk i &lt;b&gt;glasset" in page
    with app.app_context():
        number = db.session.query(DeviceNote).one().id
    admin.post(f"/tablets/OWN1/notes/{number}/remove", page="/tablets/OWN1")
    assert "Sprekk" not in admin.get("/tablets/OWN1").text


def test_tablet_is_given_to_a_pupil_of_the_class_and_taken_back(app: Flask, world: World, admin: Visitor) -> None:
    page = admin.get(f"/tablets/NEXT1/edit?class={world.own_class.id}").text
    found = re.search(r'name="person" value="(\d+)"', page)
    assert found is not None
    assert "har OWN1" in words(page)
    admin.post("/tablets/NEXT1/pupil", page="/tablets/NEXT1", act="give", person=found[1])
    with app.app_context():
        assert db.session.get_one(Device, world.next_tablet.id).person_id == int(found[1])
        assert db.session.query(DeviceHolder).filter_by(device_id=world.next_tablet.id).count() == 1
    assert "fikk det" in admin.get("/tablets/NEXT1").text
    admin.post("/tablets/NEXT1/pupil", page="/tablets/NEXT1", act="take")
    assert "ga det fra seg" in admin.get("/tablets/NEXT1").text


@pytest.mark.parametrize(
    "form", [{}, {"person": ""}, {"act": "give", "person": "x"}, {"act": "give"}, {"act": "other"}]
)
def test_form_that_names_no_deed_or_no_pupil_leaves_the_tablet_to_its_pupil(
    app: Flask, world: World, admin: Visitor, form: dict[str, str]
) -> None:
    answer = admin.post("/tablets/OWN1/pupil", page="/tablets/OWN1", **form)
    assert answer.status_code == 400
    assert ("Velg eleven som får nettbrettet." in answer.text) is (form.get("act") == "give")
    with app.app_context():
        assert db.session.get_one(Device, world.tablet.id).person_id == world.tablet.person_id


def test_school_it_gives_no_tablet_to_another_schools_pupil(app: Flask, world: World) -> None:
    with app.app_context(), transaction():
        stranger = factories.pupil(db.session.merge(world.other_school)).id
    answer = visit(app, "it").post("/tablets/OWN1/pupil", page="/tablets/OWN1", act="give", person=str(stranger))
    assert answer.status_code == 404


def test_asset_tag_of_another_tablet_is_refused_beside_the_field(world: World, admin: Visitor) -> None:
    answer = admin.post("/tablets/NEXT1/tag", page="/tablets/NEXT1", asset_tag="tag-own")
    assert answer.status_code == 409
    assert "Et annet nettbrett har denne merkelappen." in answer.text
    assert 'value="tag-own"' in answer.text


# -- the home screen ---------------------------------------------------------------------------------------------------


def test_home_screen_is_what_the_profile_makes_it() -> None:
    found = home(
        {
            "apps.required": ["no.school.paint", "no.school.map-view"], "apps.blocked": ["no.school.game"],
            "home_screen.pages": [{"page": 2, "apps": ["no.school.game"]}, {"page": 1, "apps": ["no.school.write"]}],
            "home_screen.dock": ["no.school.mail"], "web.bookmarks": [{"title": "NRK skole", "url": "https://nrk.no"}],
            "lock_screen.message": "Eies av skolen", "camera.allowed": False,
        },
        {"no.school.map-view": "Kartboka"},
    )  # fmt: skip
    assert [(one.name, one.face) for one in found.apps] == [
        ("Write", "Wr"), ("Paint", "Pa"), ("Kartboka", "Ka"), ("NRK skole", "Ns"),
    ]  # fmt: skip
    assert [one.name for one in found.dock] == ["Mail"]
    assert (found.lock_text, found.closed, found.kiosk, found.only_these) == (
        "Eies av skolen",
        ["camera.allowed"],
        None,
        False,
    )


def test_home_screen_of_a_locked_tablet_is_one_app_and_of_a_narrow_one_what_is_allowed() -> None:
    locked = home({"kiosk.app": "no.school.exam"}, {}).kiosk
    assert locked is not None
    assert locked.name == "Exam"
    narrow = home({"apps.allowed": ["no.school.a"], "home_screen.pages": [{"page": 1, "apps": ["no.school.b"]}]}, {})
    assert ([one.name for one in narrow.apps], narrow.only_these) == (["A"], True)
    assert home({"apps.required": [f"no.school.app{number}" for number in range(30)]}, {}).more == 12


# -- schools, classes, search ------------------------------------------------------------------------------------------


def test_class_shows_pupils_with_their_tablets_and_those_of_no_pupil(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        of = db.session.merge(world.own_class)
        school = db.session.merge(world.school)
        factories.membership(factories.pupil(school), of)
        factories.device(school, class_id=of.id, serial="SHARED1")
    page = words(admin.get(f"/classes/{world.own_class.id}").text)
    assert "2 elever · 2 nettbrett" in page
    assert "OWN1 TAG-OWN" in page
    assert "Nettbrett som ikke er noen elevs eget" in page
    assert "SHARED1" in page
    assert "Start økt" in page
    assert "Prøve Personesen" in page


def test_schools_are_for_those_who_look_after_them_and_teachers_have_their_classes(app: Flask, world: World) -> None:
    page = words(visit(app, "it").get("/schools").text)
    assert "Prøveskolen" in page
    assert "Naboskolen" not in page
    page = words(visit(app, "teacher").get("/schools").text)
    assert "Mine klasser" in page
    assert "8B" in page
    assert "9A" not in page
    assert "Ingen skoler ennå" in visit(app, "nobody").get("/schools").text


@pytest.mark.parametrize(("query", "serial"), [("own1", "OWN1"), ("tag-own", "OWN1"), (" OTHER1 ", "OTHER1")])
def test_exact_serial_or_tag_leads_straight_to_the_tablet(admin: Visitor, query: str, serial: str) -> None:
    answer = admin.get("/search", query_string={"q": query})
    assert (answer.status_code, answer.location) == (302, f"/tablets/{serial}")


def test_search_finds_some_of_each_kind(app: Flask, world: World, admin: Visitor) -> None:
    with app.app_context(), transaction():
        factories.tablets(world.school, 9)
    page = words(admin.get("/search?q=sn0").text)
    assert "Vis alle 9 nettbrett" in page
    page = words(admin.get("/search?q=prøve").text)
    assert "Skoler Prøveskolen" in page
    assert "Elever Elev Prøve" in page
    assert "OWN1 Har profilen sin" in page
    assert "Klasser 8B Prøveskolen" in words(admin.get("/search?q=8b+prøve").text)
    assert "Ingen treff." in admin.get("/search?q=finnes+ikke").text
    assert "Skriv serienummer" in admin.get("/search?q=").text


@pytest.mark.parametrize(
    ("username", "found"), [("teacher", True), ("next-teacher", False), ("other-it", False), ("nobody", False)]
)
def test_search_finds_pupils_and_tablets_only_where_one_may_see_them(
    app: Flask, world: World, username: str, found: bool
) -> None:
    visitor = visit(app, username)
    for query in ("prøve", "8b", "elev"):
        page = words(visitor.get(f"/search?q={query}").text)
        assert ("OWN1" in page) == found, query
    assert (visitor.get("/search?q=OWN1").status_code == 302) == found
