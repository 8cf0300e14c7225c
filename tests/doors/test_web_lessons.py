"""Lessons on the pages: the start page, two taps to a lesson, how it arrives, and the receipt."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from flask import Flask

from fleet.access import Role
from fleet.db import db, transaction
from fleet.devices.models import DeviceLife
from fleet.lessons import life, plans
from fleet.lessons.models import LessonTablet, Part, SetKind
from fleet.schools import calendar
from fleet.schools.models import Person
from fleet.web.languages import NAMES
from tests import factories, lessons, teaching
from tests.conftest import NOW
from tests.doors.test_web_pages import HOSTILE, runnable
from tests.lessons import MINUTE, OSLO
from tests.teaching import Teaching, words
from tests.visiting import PASSWORD, Visitor

MOST_STATEMENTS = 15  # of any of these pages, whatever the class
MOST_TO_START = 44


@pytest.fixture
def school(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Teaching:
    return teaching.build(app, monkeypatch)


@pytest.fixture
def kari(school: Teaching) -> Visitor:
    return school.visitor()


def start_page(school: Teaching) -> str:
    return f"/classes/{school.own.id}/lesson"


def test_a_teacher_lands_on_the_own_classes_and_others_on_the_overview(school: Teaching) -> None:
    for username, page in (("kari", "/lessons"), ("it", "/"), ("admin", "/")):
        visitor = Visitor(school.app)
        assert visitor.sign_in(username).location == page
        assert visitor.get("/sign-in").location == page
    assert Visitor(school.app).sign_in("kari", next="/findings").location == "/findings"


def test_start_page_has_each_own_class_with_the_sets_to_start_with(school: Teaching, kari: Visitor) -> None:
    page = kari.get("/lessons").text
    assert "8B Lesing - 8B Bare leksikon - 8B Flere valg 8B" in words(page)
    assert f'href="{start_page(school)}?set_id={school.reading.id}"' in page
    assert "9A" not in words(page)
    assert "Økter nå" not in page


def test_start_page_has_what_runs_and_what_is_planned_today(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        by = school.principal("kari")
        for begins in (time(12, 0), time(13, 0)):
            plans.plan(
                *school.rows(school.own, school.web), on=NOW.date(), starts_at=begins, ends_at=time(begins.hour, 45), holder_id=None, by=by,
                now=NOW, timezone=OSLO,
            )  # fmt: skip
    school.start(kari)
    school.obeyed([0, 1], NOW)
    page = words(kari.get("/lessons").text)
    assert "8B Pågår 45 min igjen · til 11:00 Lesing 2 av 3 har økten Åpne økten 8B" in page
    assert "Planlagt i dag 12:00-12:45 8B Bare leksikon 13:00-13:45 8B Bare leksikon" in page
    school.at(datetime(2026, 9, 14, 10, 30, tzinfo=UTC))  # 12:30, when the first would run
    assert "12:00-12:45" not in words(kari.get("/lessons").text)


def test_it_sees_the_lessons_of_the_school_and_where_to_start_one(school: Teaching, kari: Visitor) -> None:
    it = school.visitor("it")
    assert "Ingen økt pågår nå." in it.get("/lessons").text
    school.start(kari)
    page = words(it.get("/lessons").text)
    assert "8B Prøveskolen Prøve kari Lesing 11:00 0 av 3 har økten" in page
    assert "Start en økt for en klasse" in page
    assert "Prognoser og hva som kom" in page


def test_teacher_without_a_class_is_told_what_to_do(school: Teaching) -> None:
    with school.app.app_context(), transaction():
        factories.account("lonely", (Role.TEACHER, school.school), password=PASSWORD)
    assert "si hvilke klasser du underviser" in school.visitor("lonely").get("/lessons").text


def test_before_the_start_stands_what_it_will_reach_and_who_is_not_heard_from(school: Teaching, kari: Visitor) -> None:
    page = words(kari.get(start_page(school)).text)
    assert "Omtrent 3 av 3 har økten innen 15 s 1 ikke hørt fra i dag: Elev3 Prøve (sist hørt for 1 døgn siden)" in page
    assert "Start med Lesing Bare disse appene · fra skolen" in page
    assert "Varer til 10:45 30 min 11:00 45 min 11:15 60 min Hvem som er her" in page
    assert "EP1 Elev0 klar borte EP2 Elev1 klar borte EP3 Elev2 klar borte EP4 Elev3 ikke hørt borte" in page
    assert re.search(r'value="2026-09-14T09:00:00\+00:00" checked', kari.get(start_page(school)).text)


def test_all_eyes_on_the_teacher_is_offered_once_also_after_it_was_used(school: Teaching, kari: Visitor) -> None:
    path = start_page(school)
    for _again in range(2):
        assert kari.get(path).text.count('<span class="set-title">Blikket på meg</span>') == 1
        started = kari.post(path, page=path, quick="eyes").location
        assert kari.post(f"{started}/end", page=started).status_code == 303


def test_two_taps_start_a_lesson(school: Teaching, kari: Visitor) -> None:
    page = kari.get("/lessons").text
    first_tap = re.search(rf'href="({start_page(school)}\?set_id=\d+)"', page)
    assert first_tap is not None
    form = kari.get(first_tap[1].replace("&amp;", "&")).text
    checked = re.search(r'name="until"[^>]* value="([^"]+)" checked', form)
    chosen = re.search(r'name="set_id" value="(\d+)" checked', form)
    assert checked is not None
    assert chosen is not None
    address = school.start(kari, set_id=chosen[1], until=checked[1])
    assert "0 av 3 har økten 45 min igjen til 11:00" in words(kari.get(address).text)


def test_the_set_that_led_to_the_class_stands_first_and_then_the_last_used(school: Teaching, kari: Visitor) -> None:
    def order(path: str) -> list[int]:
        return [int(one) for one in re.findall(r'name="set_id" value="(\d+)"', kari.get(path).text)]

    assert order(start_page(school)) == [school.reading.id, school.web.id]
    assert order(f"{start_page(school)}?set_id={school.web.id}") == [school.web.id, school.reading.id]
    school.start(kari, set_id=str(school.web.id))
    assert order(start_page(school)) == [school.web.id, school.reading.id]
    assert "Bare leksikon Bare disse nettadressene · sist brukt" in words(kari.get(start_page(school)).text)
    assert order(f"{start_page(school)}?set_id=nonsense") == [school.web.id, school.reading.id]


def test_absent_pupils_are_left_out_and_everybody_is_taken_in(school: Teaching, kari: Visitor) -> None:
    school.start(kari, absent=[str(school.tablets[0].person_id), "nonsense"], everybody="yes")
    assert [school.part(place) for place in range(4)] == [Part.ABSENT, Part.IN, Part.IN, Part.IN]


@pytest.mark.parametrize(
    ("form", "kind", "params"),
    [
        ({"quick": "eyes", "eyes_text": " Se opp "}, SetKind.EYES, {"text": "Se opp"}),
        ({"quick": "eyes"}, SetKind.EYES, {}),
        ({"quick": "apps", "apps_apps_ticked": ["no.nb.lesebok"], "apps_apps": "no.example.paint\r\n", "exam_apps": "no.x.y"},
        SetKind.APPS, {"apps": ["no.example.paint", "no.nb.lesebok"]}),
        ({"quick": "apps", "apps_apps": "no.nb.lesebok", "apps_locked": "yes"}, SetKind.APPS, {"apps": ["no.nb.lesebok"], "locked": True}),
        ({"quick": "web", "web_hosts": "nrk.no, https://snl.no/katt\nudir.no", "apps_locked": "yes"}, SetKind.WEB,
        {"hosts": ["nrk.no", "snl.no", "udir.no"]}),
        ({"quick": "exam", "exam_apps_ticked": "no.nb.lesebok", "exam_hosts": "", "exam_locked": "yes"}, SetKind.EXAM,
        {"apps": ["no.nb.lesebok"], "locked": True}),
    ],
)  # fmt: skip
def test_quick_sets_are_made_of_what_was_ticked_and_typed(
    school: Teaching, kari: Visitor, form: dict[str, str | list[str]], kind: SetKind, params: dict[str, Any]
) -> None:
    school.start(kari, set_id="", **form)
    with school.app.app_context():
        given = school.lesson().given[-1].set
        assert (given.kind, given.params) == (kind, params)


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"set_id": ""}, 400, "Velg hva du vil starte med."),
        ({"set_id": "2147483"}, 409, "Dette opplegget finnes ikke lenger."),
        ({"until": "2026-09-14T08:00:00+00:00"}, 400, "Det tidspunktet er passert."),
        ({"until": "2026-09-14T12:45:00+00:00"}, 400, "Økten kan ikke vare lenger enn til 12:15"),
        ({"quick": "apps"}, 400, "Velg minst én app."),
        ({"quick": "web", "web_hosts": " "}, 400, "Skriv minst én nettadresse."),
        ({"quick": "web", "web_hosts": "<b>x"}, 400, "«<b>x» er ingen nettadresse."),
        ({"quick": "apps", "apps_apps": "sjakk!"}, 400, "«sjakk!» er ingen app-ID."),
        ({"quick": "apps", "apps_apps": "no.a.b no.c.d", "apps_locked": "yes"}, 400, "bare låses til én app"),
        ({"quick": "eyes", "eyes_text": "x" * 1_000}, 400, "Teksten er for lang"),
    ],
)  # fmt: skip
def test_a_start_that_is_refused_says_so_on_the_page_and_keeps_what_was_typed(
    school: Teaching, kari: Visitor, form: dict[str, str], status: int, told: str
) -> None:
    path = start_page(school)
    absent = str(school.tablets[0].person_id)
    answer = kari.post(path, page=path, **{"set_id": str(school.reading.id), "absent": absent, **form})
    page = answer.text
    assert answer.status_code == status
    assert told in words(page)
    assert re.search(rf'name="absent" value="{absent}"[^>]* checked', page)
    for name in ("web_hosts", "apps_apps", "eyes_text"):
        if name in form:
            assert form[name].strip() in words(page)
    assert list(runnable(page)) == []


def test_an_end_that_makes_no_sense_is_the_usual_one(school: Teaching, kari: Visitor) -> None:
    for until in ("", "soon", "2026-09-14T09:00:00"):
        school.start(kari, until=until)
        with school.app.app_context():
            assert school.lesson().ends_at == NOW + 45 * MINUTE


def test_a_lesson_never_ends_after_the_school_day(school: Teaching, kari: Visitor) -> None:
    school.at(datetime(2026, 9, 14, 12, 10, tzinfo=UTC))  # 14:10; the school day ends at 14:30
    path = start_page(school)
    assert "Varer til 14:30 skoledagen slutter Hvem som er her" in words(kari.get(path).text)
    answer = kari.post(path, page=path, set_id=str(school.reading.id), until="2026-09-14T12:55:00+00:00")
    assert "Skoledagen slutter 14:30, og økten med den." in answer.text


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (datetime(2026, 9, 14, 16, tzinfo=UTC), "i dag fra 08:15 til 14:30"),
        (datetime(2026, 9, 12, 8, tzinfo=UTC), "Det er ikke skole i dag"),
    ],
)
def test_outside_school_hours_the_page_says_when_there_is_school(school: Teaching, now: datetime, told: str) -> None:
    school.at(now)
    path, kari = start_page(school), school.visitor()
    page = kari.get(path).text
    assert told in page
    assert 'name="set_id"' not in page
    answer = kari.post(path, page=path, set_id=str(school.reading.id))
    assert answer.status_code == 403
    assert told in answer.text
    assert 'name="set_id"' in school.visitor("it").get(path).text  # may at any time


def test_a_class_without_tablets_is_told_what_to_do(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        for one in school.tablets:
            db.session.merge(one).life = DeviceLife.LOST
    path = start_page(school)
    page = kari.get(path).text
    assert "Ingen nettbrett er registrert for denne klassen." in page
    assert 'name="set_id"' not in page
    answer = kari.post(path, page=path, set_id=str(school.reading.id))
    assert answer.status_code == 409
    assert "Skolens IT kan registrere nettbrett" in answer.text


def test_the_class_page_says_that_a_lesson_runs_already(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    page = kari.get(start_page(school)).text
    assert "8B har en økt til 11:00. En ny tar over nettbrettene." in page
    assert f'href="{address}"' in page


def test_only_who_may_teach_the_class_gets_its_lesson(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    got = {one: school.visitor(one).get(address).status_code for one in ("kari", "it", "admin", "ola")}
    assert got == {"kari": 200, "it": 200, "admin": 200, "ola": 404}
    ola = school.visitor("ola")
    assert ola.get(f"{address}/tablets/{school.tablets[0].id}").status_code == 404
    for action in ("end", "set", "hand-over", "message", "open", "again"):
        form = {"eyes": "yes", "text": "Hei", "address": "nrk.no", "account_id": "1"}
        assert ola.post(f"{address}/{action}", **form).status_code == 404
    until = (NOW + 50 * MINUTE).isoformat()
    for action, form in (("extend", {"until": until}), ("tablets", {"absent": str(school.tablets[0].id)})):
        assert ola.post(f"{address}/{action}", **form).status_code == 404
    assert school.part(0) is Part.IN


def test_a_lesson_shows_who_has_it_and_first_who_needs_something(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    failures = [{"key": key, "reason": "unsupported"} for key in ("apps.allowed", "camera.allowed")]
    school.obeyed([0], NOW, failures)
    school.obeyed([1], NOW)
    page = words(kari.get(address).text)
    assert "2 av 3 har økten 45 min igjen til 11:00 1 har økten 1 venter på økten 1 har økten, men ikke alt" in page
    assert (
        "Bør sees på 2 Elev0 Prøve Har økten, men ikke alt Bare disse appene, Kamera: støttes ikke på denne typen nettbrett"
        in page
    )
    assert "Elev3 Prøve Ikke hørt fra i dag aldri hørt fra; ta det med hvis eleven er her Ta med Borte Elever 4" in page
    by_name = "EP1 Elev0 ikke alt EP2 Elev1 har det EP3 Elev2 venter EP4 Elev3 ikke hørt"
    assert by_name in page
    by_state = "EP1 Elev0 ikke alt EP4 Elev3 ikke hørt EP3 Elev2 venter EP2 Elev1 har det"
    assert by_state in words(kari.get(f"{address}?sort=state").text)
    assert by_state in words(kari.refresh(f"{address}?stage=running&sort=state").text)
    assert by_name in words(kari.get(f"{address}?sort=nonsense").text)
    school.at(NOW + 2 * MINUTE)
    assert "Bør sees på 3" in words(kari.refresh(f"{address}?stage=running").text)  # one waits for long


def test_over_it_is_the_receipt(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    school.obeyed([0, 1], NOW)
    over = NOW + 46 * MINUTE
    school.at(over)
    page = words(kari.get(address).text)
    assert "Ferdig Lesing Prøve kari 0 av 2 er tilbake 10:15-11:00" in page
    assert "2 er ikke tilbake ennå Hvert nettbrett går tilbake etter sin egen klokke" in page
    assert "Ikke tilbake ennå 2 Elev0 Prøve" in page
    school.obeyed([0], over)
    page = words(kari.get(address).text)
    assert "1 av 2 er tilbake" in page
    assert "Ikke tilbake ennå 1 Elev1 Prøve" in page
    assert "EP1 Elev0 tilbake EP2 Elev1 ikke tilbake EP3 Elev2 ikke berørt EP4 Elev3 ikke berørt" in page
    sheet = words(kari.get(f"{address}/tablets/{school.tablets[0].id}").text)
    assert "Elev0 Prøve Tilbake" in sheet
    assert "11:01" in sheet
    assert "Avslutt" not in page


def test_the_living_part_asks_for_the_whole_page_when_the_lesson_is_over(school: Teaching, kari: Visitor) -> None:
    address = school.start(kari)
    living = f"{address}?stage=running"
    assert f'hx-get="{living}&amp;sort=name"' in kari.get(address).text
    assert "<html" not in kari.refresh(living).text
    school.at(NOW + 46 * MINUTE)
    answer = kari.refresh(living)
    assert (answer.headers["HX-Refresh"], answer.text) == ("true", "")


def test_a_planned_lesson_says_what_will_happen_and_can_be_cancelled(school: Teaching, kari: Visitor) -> None:
    with school.app.app_context(), transaction():
        plan = plans.plan(
                *school.rows(school.own, school.web), on=NOW.date(), starts_at=time(10, 30), ends_at=time(11, 30), holder_id=None,
            by=school.principal("kari"), now=NOW, timezone=OSLO,
        )  # fmt: skip
        starts_at = NOW + 15 * MINUTE
        made = life.begin_planned(
            plan, starts_at=starts_at, ends_at=starts_at + timedelta(hours=1), calendars=calendar.load(OSLO), now=NOW,
            timezone=OSLO,
        )  # fmt: skip
        assert made is not None
        address = f"/lessons/{made.id}"
    assert f'href="{address}"' in kari.get("/lessons").text
    assert words(kari.get("/lessons").text).count("10:30-11:30") == 1  # the plan and its lesson are one
    page = words(kari.get(address).text)
    assert "Planlagt Bare leksikon Prøve kari 10:30-11:30" in page
    assert "3 nettbrett blir med" in page
    assert "Send en melding" not in page
    assert kari.post(f"{address}/end", page=address).location == address
    page = words(kari.get(address).text)
    assert "Avlyst" in page
    assert "Ingen nettbrett merket noe." in page


def test_pages_of_tablet_and_school_lead_to_the_lesson_that_runs(school: Teaching, kari: Visitor) -> None:
    serial = school.tablets[0].serial
    places = (f"/tablets/{serial}", f"/schools/{school.school.id}")
    assert not any("/lessons/" in kari.get(path).text for path in places)
    assert start_page(school) in kari.get(places[1]).text
    address = f'href="{school.start(kari)}"'
    assert all(address in kari.get(path).text for path in places)
    why = words(kari.get(f"{places[0]}/why").text)
    assert "no.nb.lesebok Bare disse appene Økt 8B ingen" in why  # and why it has what it has
    ola = school.visitor("ola")
    assert address not in ola.get(places[1]).text
    school.at(NOW + 46 * MINUTE)
    assert not any(address in kari.get(path).text for path in places)


def test_calibration_shows_forecasts_against_what_came(school: Teaching, kari: Visitor) -> None:
    it, path = school.visitor("it"), "/lessons/calibration"
    assert "Ingenting er talt ennå." in it.get(path).text
    school.start(kari)
    with school.app.app_context(), transaction():
        for number, row in enumerate(db.session.query(LessonTablet).filter_by(part=Part.IN)):
            row.forecast_percent, row.forecast_kind, row.is_in_time, row.counted_at = 93, "waiting", number > 0, NOW
    page = words(it.get(path).text)
    assert "90-100 % 3 93 % 67 %" in page
    assert "ventet på beskjed 3 93 % 67 %" in page
    admin = school.visitor("admin")
    assert "90-100" in words(admin.get(path).text)
    assert "90-100" in words(admin.get(f"{path}?school_id={school.school.id}").text)
    assert kari.get(path).status_code == 403


def counted(school: Teaching, statements: list[str]) -> dict[str, int]:
    """Return how many statements each page needs, with a lesson that runs and some that have it."""
    kari = school.visitor()
    address = school.start(kari)
    school.obeyed([0, 1], NOW)
    found = {}
    for path in ("/lessons", start_page(school), address):
        for name, get in ((path, kari.get), (f"living {path}", kari.refresh)):
            statements.clear()
            assert get(f"{path}?stage=running").status_code == 200
            found[re.sub(r"\d+", "1", name)] = len(statements)
    statements.clear()
    another = school.visitor()
    token = another.token(start_page(school))
    statements.clear()
    assert another.post(start_page(school), token=token, set_id=str(school.web.id)).status_code == 303
    found["start"] = len(statements)
    return found


def test_statements_do_not_grow_with_the_class(school: Teaching, statements: list[str]) -> None:
    counted(school, statements)  # later ones find an earlier lesson of the class
    small = counted(school, statements)
    with school.app.app_context(), transaction():
        for _ in range(26):
            pupil = factories.pupil(school.school)
            factories.membership(pupil, db.session.merge(school.own))
            lessons.seen([factories.enrolled(school.school, person=pupil).id], at=NOW, now=NOW)
    assert counted(school, statements) == small
    assert max(count for name, count in small.items() if name != "start") <= MOST_STATEMENTS, small
    assert small["start"] <= MOST_TO_START, small


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_name_or_a_set_says_is_shown_as_text(school: Teaching, kari: Visitor, text: str) -> None:
    with school.app.app_context(), transaction():
        db.session.get_one(Person, school.tablets[0].person_id).given_name = text
        db.session.merge(school.own).title = text
        db.session.merge(school.web).title = text
    address = school.start(kari, set_id=str(school.web.id))
    school.obeyed([0], NOW, [{"key": text, "reason": text}])
    for path in ("/lessons", start_page(school), address):
        page = kari.get(path).text
        assert list(runnable(page)) == []
        assert text in words(page) or text.strip() in words(page)


@pytest.mark.parametrize("language", NAMES)
def test_pages_speak_every_language(school: Teaching, kari: Visitor, language: str) -> None:
    kari.post("/language", page="/lessons", language=language)
    address = school.start(kari)
    told = {"nb": "Avslutt økten", "nn": "Avslutt økta", "en": "End the lesson"}
    page = kari.get(address).text
    assert told[language] in page
    assert not [one for code, one in told.items() if code != language and one in page]
