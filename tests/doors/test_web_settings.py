"""Settings on the pages: school years, hours, bells, networks, and taking back."""

import io
import re
from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet import clock
from fleet.access import Principal
from fleet.db import db, transaction
from fleet.schools import bells, calendar_editing, deciding
from fleet.schools import calendar as calendars
from fleet.schools.bells import Period
from fleet.schools.models import Bell, School
from fleet.schools.queries import municipality
from tests import factories, visiting
from tests.doors.test_web_pages import MOST_STATEMENTS, words
from tests.visiting import Visitor, World

CLI = Principal.command_line()
MONDAY = date(2026, 10, 5)
OSLO = ZoneInfo("Europe/Oslo")


@pytest.fixture
def world(app: Flask) -> World:
    return visiting.build(app)


@pytest.fixture
def admin(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("admin")
    return visitor


@pytest.fixture
def it(app: Flask, world: World) -> Visitor:
    visitor = Visitor(app)
    visitor.sign_in("it")
    return visitor


TOO_LATE = "Det er for sent å angre dette, eller det er alt angret."


def undo(visitor: Visitor, page: str, told: str = "Alt er som før endringen.") -> None:
    """Press the button that takes back what was just done: one comes to the page again, and it says how that went."""
    shown = visitor.get(page).text
    found = re.search(r'action="(/settings/undo/[^"]+)"', shown)
    assert found is not None
    answer = visitor.post(found[1].replace("&amp;", "&"), page=page)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, page)
    assert told in visitor.get(page).text


def decided(app: Flask, school_id: int | None, *days: date) -> list[tuple[bool, str | None]]:
    with app.app_context():
        found = calendar_editing.decided([(school_id, on) for on in days])
        return [found.get((school_id, on), (False, None)) for on in days]


def test_year_shows_holidays_of_the_library_and_who_decided_the_rest(app: Flask, world: World, it: Visitor) -> None:
    with app.app_context(), transaction():
        for school_id, on, title in (
            (None, MONDAY, "Høstferie"),
            (world.school.id, date(2026, 11, 2), "Planleggingsdag"),
        ):
            calendar_editing.set_day(
                on, school_id=school_id, is_school_day=False, title=title, by=CLI, now=clock.now()
            )  # fmt: skip
    page = it.get(f"/settings/schools/{world.school.id}?year=2026").text
    assert "Skoleåret 2026\u20132027" in words(page)
    for told in (
        "5. okt.: Høstferie, fri (Kommunen)",
        "2. nov.: Planleggingsdag, fri (Skolen)",
        "Grunnlovsdag, fri (Helligdag)",
    ):
        assert told in page
    assert page.count("data-on") == 365
    assert len(page) < 150_000


def test_days_of_a_school_are_decided_and_taken_back(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}"
    form = {"first": "2026-10-05", "last": "2026-10-06", "answer": "off", "title": "Planleggingsdag"}
    answer = it.post(f"{page}/days", page=page, **form)
    assert (answer.status_code, answer.location) == (303, f"{page}?year=2026")
    days = (MONDAY, date(2026, 10, 6))
    assert decided(app, world.school.id, *days) == [(False, "Planleggingsdag")] * 2
    chosen = it.get(f"{page}?first=2026-10-05").text
    assert 'value="Planleggingsdag"' in chosen
    it.post(f"{page}/days", page=page, first="2026-10-06", answer="as-else")
    assert decided(app, world.school.id, *days) == [(False, "Planleggingsdag"), (False, None)]
    undo(it, page)
    assert decided(app, world.school.id, *days) == [(False, "Planleggingsdag")] * 2


@pytest.mark.parametrize(
    ("form", "status", "told"),
    [
        ({"first": ""}, 400, "Velg en dato fra 2000 til 2100."),
        ({"first": "1990-01-01"}, 400, "Velg en dato fra 2000 til 2100."),
        ({"last": "2026-10-01"}, 400, "Velg en senere dato, høyst 120 dager i alt."),
        ({"last": "2027-10-05"}, 400, "Velg en senere dato, høyst 120 dager i alt."),
        ({"last": "x"}, 400, "Velg en senere dato, høyst 120 dager i alt."),
        ({"title": " "}, 400, "Skriv hva det er, med høyst 120 tegn."),
        ({"answer": "as-else"}, 409, "Det er ikke bestemt noe her for disse dagene."),
    ],
)
def test_days_that_cannot_be_decided_say_why_and_keep_what_was_typed(
    app: Flask, world: World, it: Visitor, form: dict[str, str], status: int, told: str
) -> None:
    page = f"/settings/schools/{world.school.id}"
    given = {"first": "2026-10-05", "last": "", "answer": "off", "title": "Planleggingsdag", **form}
    answer = it.post(f"{page}/days", page=page, **given)
    assert answer.status_code == status
    assert told in answer.text
    assert f'value="{given["title"]}"' in answer.text
    assert decided(app, world.school.id, MONDAY) == [(False, None)]


def send(visitor: Visitor, path: str, content: str, *, page: str) -> str:
    """Send a file; returns where that led, or the page that refused it."""
    token = visitor.token(page)
    data = {"csrf_token": token, "file": (io.BytesIO(content.encode()), "skolerute.csv")}
    answer = visitor.client.post(path, data=data, content_type="multipart/form-data")
    return answer.location or answer.text


def test_days_of_a_file_are_shown_then_changed_and_taken_back(app: Flask, world: World, admin: Visitor) -> None:
    content = "dato;til;tittel\n05.10.2026;09.10.2026;Høstferie\n2026-12-22;;Juleferie\n"
    page = "/settings/calendar"
    look = send(admin, f"{page}/import", content, page=page)
    shown = words(admin.get(look).text)
    assert "6 dager vil bli endret" in shown
    assert "Høstferie" in shown
    assert decided(app, None, MONDAY) == [(False, None)]
    used = admin.post(look, page=look)
    assert (used.status_code, used.location) == (303, f"{page}?year=2026")
    assert decided(app, None, MONDAY, date(2026, 12, 22)) == [(False, "Høstferie"), (False, "Juleferie")]
    undo(admin, page)
    assert decided(app, None, MONDAY, date(2026, 12, 22)) == [(False, None)] * 2
    assert admin.post(look, page=page).status_code == 404  # used up
    assert "Ingenting vil bli endret" not in shown


def test_entries_of_an_icalendar_file_are_shown_decided_and_taken_back(
    app: Flask, world: World, admin: Visitor
) -> None:
    page = "/settings/calendar"
    entries = (("20261005", "Høstferie"), ("20261006", "Temadag"), ("20260817", "Første skoledag"))
    inside = "".join(
        f"BEGIN:VEVENT\nDTSTART;VALUE=DATE:{on}\nSUMMARY:{title} <b>\nEND:VEVENT\n" for on, title in entries
    )
    evening = "BEGIN:VEVENT\nDTSTART:20261007T180000\nSUMMARY:Foreldremøte\nEND:VEVENT\n"
    look = send(admin, f"{page}/import", f"BEGIN:VCALENDAR\n{inside}{evening}END:VCALENDAR\n", page=page)
    shown = admin.get(look).text
    assert re.findall(r'name="entry-(\d+)"|value="([a-z-]+)" selected', shown)[-6:] == [
        ("10", ""), ("", "news"), ("2", ""), ("", "day-off"), ("6", ""), ("", "news"),
    ]  # fmt: skip
    assert "Høstferie &lt;b&gt;" in shown
    assert "Foreldremøte" in shown
    form = {"entry-2": "news", "entry-6": "day-off", "entry-x": "day-off", "entry-10": "rubbish"}
    assert admin.post(look, page=look, **form).status_code == 303
    tuesday = date(2026, 10, 6)
    assert decided(app, None, MONDAY, tuesday) == [(False, None), (False, "Temadag <b>")]
    undo(admin, page)
    assert decided(app, None, MONDAY, tuesday) == [(False, None)] * 2
    refused = send(admin, f"{page}/import", "BEGIN:VCALENDAR\n<html>", page=page)
    assert admin.get(refused).status_code == 400


def test_a_file_with_faults_says_each_with_its_line(world: World, admin: Visitor) -> None:
    content = "dato;til;tittel;skole\nfredag;;Fri;\n05.10.2026;01.10.2026;Feil;\n06.10.2026;;Fri;Ukjent\n"
    page = "/settings/calendar"
    look = send(admin, f"{page}/import", content, page=page)
    answer = admin.get(look)
    assert answer.status_code == 400
    told = words(answer.text)
    for fault in (
        "Linje 2: «fredag» er ikke en dato.", "Linje 3: Til dato må være senere", "Linje 4: Ingen skole heter «Ukjent».",
    ):  # fmt: skip
        assert fault in told
    assert "Velg en fil som ikke er tom." in send(admin, f"{page}/import", "", page=page)
    assert "Kolonnen «title» mangler." in admin.get(send(admin, f"{page}/import", "dato\n5.10.2026\n", page=page)).text


def test_nobody_sees_or_uses_the_file_of_somebody_else(app: Flask, world: World, admin: Visitor, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}"
    look = send(admin, f"{page}/import", "dato;tittel\n05.10.2026;Fri\n", page=page)
    assert it.get(look).status_code == 404
    assert it.post(look, page=page).status_code == 404
    assert decided(app, world.school.id, MONDAY) == [(False, None)]


def test_school_it_imports_days_for_no_other_school(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}"
    look = send(it, f"{page}/import", "dato;tittel;skole\n05.10.2026;Fri;Naboskolen\n", page=page)
    assert it.get(look).status_code == 403
    assert it.post(look, page=page).status_code == 403
    assert decided(app, world.other_school.id, MONDAY) == [(False, None)]


def test_hours_are_decided_by_weekday_and_taken_back(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/times"
    form = {"from-0": "08:30", "to-0": "14:00", "from-2": "08:30", "to-2": "12:00"}
    assert it.post(f"{page}/hours", page=page, **form).status_code == 303
    with app.app_context():
        own = calendar_editing.own_hours(world.school.id)
    assert own == {0: (time(8, 30), time(14)), 2: (time(8, 30), time(12))}
    assert "tomt: som kommunen, 08:15\u201314:30" in it.get(page).text
    it.post(f"{page}/hours", page=page)
    with app.app_context():
        assert calendar_editing.own_hours(world.school.id) == {}
    undo(it, page)
    with app.app_context():
        assert calendar_editing.own_hours(world.school.id) == own


@pytest.mark.parametrize(
    ("language", "by_bells", "by_all", "sentence"),
    [
        ("en", "empty: by the bells, ", "empty: as the municipality, ", "where those are at least 3 hours apart"),
        ("nb", "tomt: etter ringetidene, ", "tomt: som kommunen, ", "når det er minst 3 timer mellom dem"),
        ("nn", "tomt: etter ringetidene, ", "tomt: som kommunen, ", "når det er minst 3 timar mellom dei"),
    ],
)
def test_what_is_said_of_a_day_left_empty_is_what_silence_counts(
    app: Flask, world: World, it: Visitor, *, language: str, by_bells: str, by_all: str, sentence: str
) -> None:
    def rings(school_id: int | None, weekday: int, starts_at: time, ends_at: time) -> Bell:
        return Bell(school_id=school_id, weekday=weekday, starts_at=starts_at, ends_at=ends_at)

    with app.app_context(), transaction():
        db.session.add_all(
            [
                rings(None, 0, time(8, 30), time(9, 30)), rings(None, 0, time(12, 45), time(13, 30)),
                rings(None, 1, time(8, 30), time(11, 29)),  # a part of a day
                rings(world.school.id, 2, time(9), time(12)), rings(world.school.id, 3, time(9), time(11, 59)),
            ]
        )  # fmt: skip
    it.post("/language", language=language)
    page = it.get(f"/settings/schools/{world.school.id}/times").text
    assert sentence in page
    rows = re.findall(rf'<span class="hint">((?:{by_bells}|{by_all})[^<]*)</span>', page)
    with app.app_context():
        counted = calendars.load(OSLO)[world.school.id]
    hours = [f"{one:%H:%M}\u2013{last:%H:%M}" for one, last in map(counted.weekday_hours, range(7))]
    assert hours[:4] == ["08:30\u201313:30", "08:15\u201314:30", "09:00\u201312:00", "08:15\u201314:30"]
    assert rows == [f"{by_bells if weekday == 2 else by_all}{told}" for weekday, told in enumerate(hours)]


def test_hours_that_cannot_be_are_told_at_their_weekday(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/times"
    for form in ({"from-1": "14:00", "to-1": "08:00"}, {"from-1": "08:00"}, {"from-1": "x", "to-1": "9"}):
        answer = it.post(f"{page}/hours", page=page, **form)
        assert answer.status_code == 400
        assert "tirsdag: Skriv begge klokkeslett, det seneste sist." in answer.text
    with app.app_context():
        assert calendar_editing.own_hours(world.school.id) == {}


def test_bells_of_one_day_are_given_to_several_and_others_stay(app: Flask, world: World, it: Visitor) -> None:
    with app.app_context(), transaction():
        bells.set_periods(None, [Period(4, time(9), time(10))], by=CLI, now=clock.now())
    page = f"/settings/schools/{world.school.id}/times"
    assert "Som i kommunen" in it.get(page).text
    text = "08:30-09:15\r\n\r\n925 \u2013 10.10"
    assert it.post(f"{page}/bells", page=page, periods=text, days=["0", "1"]).status_code == 303
    with app.app_context():
        own = bells.own_periods(world.school.id)
    spans = ((time(8, 30), time(9, 15)), (time(9, 25), time(10, 10)))
    assert list(own) == [*(Period(day, *span) for day in (0, 1) for span in spans), Period(4, time(9), time(10))]
    assert "Skolens egne" in it.get(page).text
    assert "08:30\u201309:15" in it.get(f"{page}?day=1").text
    it.post(f"{page}/bells/forget", page=page)
    with app.app_context():
        assert bells.own_periods(world.school.id) == []
    undo(it, page)
    with app.app_context():
        assert bells.own_periods(world.school.id) == own


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"periods": "08:30-09:15"}, "Velg minst én ukedag."),
        ({"periods": "halv ni", "days": "0"}, "Linje 1: «halv ni» er ikke en time."),
        (
            {"periods": "08:30-09:15\n09:00-10:00", "days": "0"},
            "mandag: 09:00\u201310:00 begynner før den forrige er slutt.",
        ),
        ({"periods": "09:30-09:15", "days": "3"}, "torsdag: 09:30\u201309:15 slutter før den begynner."),
        ({"periods": "09:30-09:33", "days": "3"}, "torsdag: 09:30\u201309:33 er kortere enn 5 minutter."),
    ],
)
def test_bells_that_cannot_be_say_why_and_keep_what_was_typed(
    world: World, it: Visitor, form: dict[str, str], told: str
) -> None:
    page = f"/settings/schools/{world.school.id}/times"
    answer = it.post(f"{page}/bells", page=page, **form)
    assert answer.status_code == 400
    assert told in answer.text
    assert form["periods"] in answer.text


def school(app: Flask, world: World) -> School:
    with app.app_context():
        found = db.session.get_one(School, world.school.id)
        db.session.refresh(found)
        return found


def test_networks_and_longest_lesson_are_decided_and_taken_back(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/lessons"
    assert it.post(f"{page}/networks", page=page, ranges="10.20.0.0/16\r\n127.0.0.1\r\n").status_code == 303
    assert school(app, world).networks == ["10.20.0.0/16", "127.0.0.1/32"]
    assert "Du er nå på 127.0.0.1. Det er et av skolens nettverk." in words(it.get(page).text)
    it.post(f"{page}/networks", page=page, ranges="")
    assert school(app, world).networks is None
    undo(it, page)
    assert school(app, world).networks == ["10.20.0.0/16", "127.0.0.1/32"]
    it.post(f"{page}/longest", page=page, minutes="90")
    assert school(app, world).longest_lesson_min == 90
    undo(it, page)
    assert school(app, world).longest_lesson_min == 120


def test_faults_in_networks_are_told_by_line_and_all_at_once(app: Flask, world: World, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/lessons"
    answer = it.post(f"{page}/networks", page=page, ranges="10.20.0.0/16\n\n10.20\n10.0.0.0/7")
    assert answer.status_code == 400
    assert "Linje 3: «10.20» er ikke et adresseområde." in answer.text
    assert "Linje 4: «10.0.0.0/7» er altfor stort for én skole." in answer.text
    for minutes in ("", "10", "500", "x"):
        answer = it.post(f"{page}/longest", page=page, minutes=minutes)
        assert answer.status_code == 400
        assert "Skriv et antall minutter fra 15 til 480." in answer.text
    assert (school(app, world).networks, school(app, world).longest_lesson_min) == (None, 120)


def test_taking_back_is_the_own_of_who_changed_and_once(app: Flask, world: World, admin: Visitor, it: Visitor) -> None:
    page = f"/settings/schools/{world.school.id}/lessons"
    it.post(f"{page}/longest", page=page, minutes="90")
    found = re.search(r'action="(/settings/undo/[^"]+)"', it.get(page).text)
    assert found is not None
    address = found[1].replace("&amp;", "&")
    for visitor, told, minutes in ((admin, TOO_LATE, 90), (it, "Alt er som før endringen.", 120), (it, TOO_LATE, 120)):
        answer = visitor.post(address, page=page)
        assert (answer.status_code, answer.location) == (303, page)
        assert told in visitor.get(page).text
        assert school(app, world).longest_lesson_min == minutes


def test_taking_back_leaves_alone_what_somebody_has_decided_since(
    app: Flask, world: World, admin: Visitor, it: Visitor
) -> None:
    of = f"/settings/schools/{world.school.id}"
    left = "1 dag er endret etterpå og blir som den er nå. Resten er som før."
    form = {"from-0": "08:30", "to-0": "14:00", "from-2": "08:30", "to-2": "12:00"}
    it.post(f"{of}/times/hours", page=f"{of}/times", **form)
    address = noticed(it, f"{of}/times")
    admin.post(f"{of}/times/hours", page=f"{of}/times", **{**form, "from-0": "09:00"})
    assert left in it.get(it.post(address, page=of).location).text
    with app.app_context():
        assert calendar_editing.own_hours(world.school.id) == {0: (time(9), time(14))}
    it.post(f"{of}/days", page=of, first="2026-10-05", last="2026-10-06", answer="off", title="Fri")
    address = noticed(it, of)
    admin.post(f"{of}/days", page=of, first="2026-10-05", answer="school", title="Skole likevel")
    assert left in it.get(it.post(address, page=of).location).text
    assert decided(app, world.school.id, MONDAY, date(2026, 10, 6)) == [(True, "Skole likevel"), (False, None)]
    for what, values in (("networks", ["10.20.0.0/16", "10.30.0.0/16"]), ("longest", ["90", "100"])):
        forms: list[dict[str, str]] = [{"ranges": one, "minutes": one} for one in values]
        it.post(f"{of}/lessons/{what}", page=of, **forms[0])
        address = noticed(it, f"{of}/lessons")
        admin.post(f"{of}/lessons/{what}", page=of, **forms[1])
        assert "Det er endret etterpå, og blir som det er nå." in it.get(it.post(address, page=of).location).text
    assert (school(app, world).networks, school(app, world).longest_lesson_min) == (["10.30.0.0/16"], 100)


def noticed(visitor: Visitor, page: str) -> str:
    """Return the address that the notice on a page takes something back with."""
    found = re.search(r'action="(/settings/undo/[^"]+)"', visitor.get(page).text)
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_municipality_is_named_and_rules_on_second_persons(
    app: Flask, world: World, admin: Visitor, it: Visitor
) -> None:
    assert admin.post("/settings/municipality", page="/settings", name="Prøve kommune").status_code == 303
    with app.app_context():
        found = municipality()
        assert found is not None
        assert (found.name, deciding.is_second_person_needed()) == ("Prøve kommune", False)
    admin.post("/settings/municipality", page="/settings", name="Prøve kommune", second_person="yes")
    with app.app_context():
        assert deciding.is_second_person_needed()
    empty = admin.post("/settings/municipality", page="/settings", name=" ")
    assert empty.status_code == 400
    assert "Skriv kommunens navn." in empty.text
    page = words(it.get("/settings").text)
    assert "Prøveskolen" in page
    assert "Naboskolen" not in page
    assert "To personer" not in page


@pytest.mark.parametrize("path", ["/settings", "/settings/calendar", "/settings/schools/{w.school.id}/times"])
def test_settings_ask_the_database_a_bounded_number_of_times(
    app: Flask, world: World, admin: Visitor, statements: list[str], path: str
) -> None:
    counts = []
    for round_ in range(2):
        statements.clear()
        assert admin.get(path.format(w=world)).status_code == 200
        counts.append(len(statements))
        with app.app_context(), transaction():
            for number in range(10):
                at = factories.school(f"Skole {round_}{number}")
                bells.set_periods(at.id, [Period(0, time(9), time(10))], by=CLI, now=clock.now())
                calendar_editing.set_day(
                    MONDAY, school_id=at.id, is_school_day=False, title="Fri", by=CLI, now=clock.now()
                )  # fmt: skip
    assert counts[0] == counts[1]
    assert counts[0] <= MOST_STATEMENTS
