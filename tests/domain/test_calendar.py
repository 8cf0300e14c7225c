"""The school calendar in the database: who decides, what comes of it, and files."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet.access import Grant, Principal, Role
from fleet.db import db, reading
from fleet.errors import ForbiddenError, InvalidError, InvalidFileError, NotFoundError
from fleet.schools import calendar, calendar_editing, calendar_import
from fleet.schools.calendar_editing import Days, Place
from fleet.schools.changes import Change
from fleet.schools.models import CalendarDay, School
from tests import factories
from tests.conftest import NOW
from tests.races import together

OSLO = ZoneInfo("Europe/Oslo")
MONDAY, TUESDAY = date(2026, 10, 5), date(2026, 10, 6)
ADMIN = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, None),))


def add_school(name: str) -> School:
    school = School(name=name)
    db.session.add(school)
    db.session.flush()
    return school


def school_it(school: School) -> Principal:
    return Principal("account", "2", (Grant(Role.SCHOOL_IT, school.id),))


def decide(on: date, school: School | None, *, is_school_day: bool = False, title: str = "Planleggingsdag") -> None:
    school_id = school.id if school is not None else None
    calendar_editing.set_day(on, school_id=school_id, is_school_day=is_school_day, title=title, by=ADMIN, now=NOW)


def audited() -> list[str]:
    return [line.action for line in factories.audited()]


def test_the_nearest_decision_on_a_day_wins(app: Flask) -> None:
    kjenn, rasta = add_school("Kjenn skole"), add_school("Rasta skole")
    decide(MONDAY, None)
    decide(MONDAY, kjenn, is_school_day=True)
    found = calendar.load(OSLO)
    assert [found[key].is_school_day(MONDAY) for key in (None, kjenn.id, rasta.id)] == [False, True, False]


def test_the_nearest_decision_on_hours_wins_by_weekday(app: Flask) -> None:
    kjenn, rasta = add_school("Kjenn skole"), add_school("Rasta skole")
    early, late = (time(8), time(13)), (time(9), time(15))
    for weekday in (0, 1):
        calendar_editing.set_hours(weekday, early, school_id=None, by=ADMIN, now=NOW)
    calendar_editing.set_hours(0, late, school_id=kjenn.id, by=ADMIN, now=NOW)
    found = calendar.load(OSLO)
    assert [found[kjenn.id].hours_on(on) for on in (MONDAY, TUESDAY)] == [late, early]
    assert [found[rasta.id].hours_on(on) for on in (MONDAY, TUESDAY)] == [early, early]
    assert found[rasta.id].hours_on(date(2026, 10, 7)) == calendar.DEFAULT_HOURS


def test_schools_that_are_alike_share_a_calendar_from_one_time_to_the_next(app: Flask) -> None:
    kjenn, rasta = add_school("Kjenn skole"), add_school("Rasta skole")
    before = calendar.load(OSLO)[rasta.id]
    decide(MONDAY, kjenn)
    found = calendar.load(OSLO)
    assert found[rasta.id] is before
    assert found[rasta.id] is found[None]
    assert found[kjenn.id] is not found[None]


def test_loading_takes_two_statements_however_many_schools(app: Flask, statements: list[str]) -> None:
    for number in range(30):
        decide(MONDAY, add_school(f"Skole {number}"))
    statements.clear()
    calendar.load(OSLO)
    assert len(statements) == 2


def test_deciding_the_same_again_changes_and_audits_nothing(app: Flask) -> None:
    kjenn = add_school("Kjenn skole")
    for _ in range(2):
        decide(MONDAY, kjenn, title="  Planleggingsdag ")
        calendar_editing.set_hours(0, (time(8), time(13)), school_id=kjenn.id, by=ADMIN, now=NOW)
    assert audited() == ["calendar.hours-set", "calendar.day-set"]
    decide(MONDAY, kjenn, title="Kurs")
    assert db.session.scalars(select(CalendarDay.title)).all() == ["Kurs"]
    line = factories.audited(1)[0]
    assert line.fields == {"school_id": kjenn.id, "on": "2026-10-05", "is_school_day": False, "title": "Kurs"}


def test_hours_are_changed_and_taken_back(app: Flask) -> None:
    for hours in ((time(8), time(13)), (time(8, 30), time(13)), None, None):
        calendar_editing.set_hours(0, hours, school_id=None, by=ADMIN, now=NOW)
    assert calendar.load(OSLO)[None].hours_on(MONDAY) == calendar.DEFAULT_HOURS
    assert audited() == ["calendar.hours-removed", "calendar.hours-set", "calendar.hours-set"]


def test_a_removed_decision_lets_the_farther_one_hold(app: Flask) -> None:
    kjenn = add_school("Kjenn skole")
    decide(MONDAY, None)
    decide(MONDAY, kjenn, is_school_day=True)
    calendar_editing.remove_day(MONDAY, school_id=kjenn.id, by=ADMIN, now=NOW)
    assert not calendar.load(OSLO)[kjenn.id].is_school_day(MONDAY)
    with pytest.raises(NotFoundError):
        calendar_editing.remove_day(MONDAY, school_id=kjenn.id, by=ADMIN, now=NOW)


def test_school_it_decides_for_its_own_school_only(app: Flask, tmp_path: Path) -> None:
    kjenn, rasta = add_school("Kjenn skole"), add_school("Rasta skole")
    by = school_it(kjenn)
    calendar_editing.set_day(MONDAY, school_id=kjenn.id, is_school_day=False, title="x", by=by, now=NOW)
    file = tmp_path / "dager.csv"
    file.write_text("dato;tittel;skole\n05.10.2026;x;Kjenn skole\n")
    calendar_import.import_days(file, school_id=None, by=by, now=NOW)
    for school_id in (None, rasta.id):
        with pytest.raises(ForbiddenError):
            calendar_editing.set_day(MONDAY, school_id=school_id, is_school_day=False, title="x", by=by, now=NOW)
        with pytest.raises(ForbiddenError):
            calendar_editing.remove_day(MONDAY, school_id=school_id, by=by, now=NOW)
        with pytest.raises(ForbiddenError):
            calendar_editing.set_hours(0, None, school_id=school_id, by=by, now=NOW)
        file.write_text("dato;tittel\n05.10.2026;x\n")
        with pytest.raises(ForbiddenError):
            calendar_import.import_days(file, school_id=school_id, by=by, now=NOW)


@pytest.mark.parametrize(
    ("on", "title"), [(date(202, 10, 5), "x"), (MONDAY, "  "), (MONDAY, "x" * 121), (MONDAY, "a\nb")]
)
def test_a_far_date_or_no_title_is_refused(app: Flask, on: date, title: str) -> None:
    with pytest.raises(InvalidError):
        decide(on, None, title=title)


@pytest.mark.parametrize(
    ("weekday", "hours"),
    [
        (7, (time(8), time(9))),
        (-1, (time(8), time(9))),
        (0, (time(9), time(9))),
        (0, (time(8, tzinfo=OSLO), time(9, tzinfo=OSLO))),
    ],
)
def test_hours_that_make_no_sense_are_refused(app: Flask, weekday: int, hours: calendar.Hours) -> None:
    with pytest.raises(InvalidError):
        calendar_editing.set_hours(weekday, hours, school_id=None, by=ADMIN, now=NOW)


def test_a_file_names_days_ranges_and_schools(app: Flask, tmp_path: Path) -> None:
    kjenn = add_school("Kjenn skole")
    file = tmp_path / "skolerute.csv"
    file.write_bytes(
        "\ufeffFra dato;Til og med;Tittel;Skoledag;Skole\r\n"
        "05.10.2026;09.10.2026;Høstferie;;\r\n"
        "2026-11-16;;Planleggingsdag;nei;Kjenn skole\r\n"
        "14.11.26;;Åpen dag;Ja;\r\n".encode()
    )
    plan = calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    assert plan.counts() == {"added": 7, "changed": 0, "unchanged": 0}
    found = calendar.load(OSLO)
    assert [day.on.day for day in found[None].special_days(MONDAY, date(2026, 10, 31))] == [5, 6, 7, 8, 9]
    assert found[None].is_school_day(date(2026, 11, 14))
    assert found[None].is_school_day(date(2026, 11, 16))
    assert not found[kjenn.id].is_school_day(date(2026, 11, 16))
    line = factories.audited(1)[0]
    assert (line.action, line.fields["added"], line.fields["file_name"]) == ("calendar.imported", 7, "skolerute.csv")


def test_the_same_file_again_changes_nothing_and_another_changes_what_differs(app: Flask, tmp_path: Path) -> None:
    kjenn = add_school("Kjenn skole")
    file = tmp_path / "days.csv"
    file.write_text('date,to,name,school day\n2026-10-05,2026-10-09,"Autumn, all of it",no\n')
    for _ in range(2):
        plan = calendar_import.import_days(file, school_id=kjenn.id, by=ADMIN, now=NOW)
    assert plan.counts() == {"added": 0, "changed": 0, "unchanged": 5}
    assert audited() == ["calendar.imported"]
    file.write_text("date,name,school day\n2026-10-05,Autumn,yes\n")
    assert calendar_import.propose_days(file, school_id=kjenn.id, by=ADMIN).counts()["changed"] == 1
    assert not calendar.load(OSLO)[kjenn.id].is_school_day(MONDAY)
    calendar_import.import_days(file, school_id=kjenn.id, by=ADMIN, now=NOW)
    assert calendar.load(OSLO)[kjenn.id].is_school_day(MONDAY)
    assert calendar.load(OSLO)[None].days == {}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("dato;tittel\n5 oktober;x\n", "bad-date", 2),
        ("dato;tittel\n2026-02-30;x\n", "bad-date", 2),
        ("dato;tittel\n05.10.0202;x\n", "far-date", 2),
        ("dato;tittel\n05.10.2026;\n", "bad-title", 2),
        ("dato;til;tittel\n05.10.2026;04.10.2026;x\n", "bad-range", 2),
        ("dato;til;tittel\n05.10.2026;05.10.2027;x\n", "bad-range", 2),
        ("dato;tittel;skoledag\n05.10.2026;x;kanskje\n", "bad-answer", 2),
        ("dato;tittel;skole\n05.10.2026;x;Kjen skole\n", "unknown-school", 2),
        ("dato;tittel\n05.10.2026;x\n05.10.2026;y\n", "duplicate-day", 3),
        ("dato;tittel\n05.10.2026;x;y\n", "ragged-row", 2),
        ("dato;tittel\n", "empty", None),
        ("", "no-header", 1),
        ("dato;hei\n05.10.2026;x\n", "missing-column", 1),
        ("dato;date;tittel\n05.10.2026;05.10.2026;x\n", "duplicate-column", 1),
        ("dato;tittel\n" + "x" * 2**20, "too-large", None),
    ],
)
def test_a_file_with_a_fault_is_refused_whole(app: Flask, tmp_path: Path, text: str, code: str, line: int) -> None:
    add_school("Kjenn skole")
    file = tmp_path / "dager.csv"
    file.write_text(text)
    with pytest.raises(InvalidFileError) as refused:
        calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    assert [(problem.code, problem.line) for problem in refused.value.problems] == [(code, line)]
    assert db.session.scalar(select(func.count(CalendarDay.id))) == 0


def test_a_school_whose_name_another_has_is_named_by_its_id(app: Flask, tmp_path: Path) -> None:
    one, other = add_school("Kjenn skole"), add_school("Kjenn skole")
    other.source_id = "org-2"
    file = tmp_path / "dager.csv"
    file.write_text("dato;tittel;skole\n05.10.2026;Planleggingsdag;kjenn skole\n")
    with pytest.raises(InvalidFileError) as refused:
        calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    assert [problem.code for problem in refused.value.problems] == ["ambiguous-school"]
    file.write_text("dato;tittel;skole\n05.10.2026;Planleggingsdag;ORG-2\n")
    calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    found = calendar.load(OSLO)
    assert (found[one.id].is_school_day(MONDAY), found[other.id].is_school_day(MONDAY)) == (True, False)


def test_a_date_that_many_decide_on_at_once_is_decided_once(own_app: Flask, tmp_path: Path) -> None:
    (file := tmp_path / "dager.csv").write_text("dato;tittel\n05.10.2026;Fri\n")

    def decide_on() -> None:
        calendar_editing.set_day(MONDAY, school_id=None, is_school_day=False, title="Fri", by=ADMIN, now=NOW)

    def set_hours() -> None:
        calendar_editing.set_hours(0, (time(8), time(9)), school_id=None, by=ADMIN, now=NOW)

    def import_file() -> None:
        calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)

    assert together(own_app, [decide_on, set_hours, import_file] * 3) == [None] * 9
    with own_app.app_context(), reading():
        assert len(audited()) == 2


def test_a_file_of_too_many_days_is_refused(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_import, "MAX_DAYS", 4)
    file = tmp_path / "dager.csv"
    file.write_text("dato;til;tittel\n05.10.2026;09.10.2026;x\n12.10.2026;;y\n")
    with pytest.raises(InvalidFileError) as refused:
        calendar_import.propose_days(file, school_id=None, by=ADMIN)
    assert [problem.code for problem in refused.value.problems] == ["too-many-days"]


def test_a_day_is_unique_for_all_schools_too(app: Flask) -> None:
    for _ in range(2):
        db.session.add(CalendarDay(school_id=None, on=MONDAY, is_school_day=False, title="x"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        db.session.flush()


def test_counting_uses_what_was_loaded(app: Flask) -> None:
    kjenn = add_school("Kjenn skole")
    decide(MONDAY, kjenn)
    found = calendar.load(OSLO)
    span = (datetime(2026, 10, 5, tzinfo=OSLO), datetime(2026, 10, 6, tzinfo=OSLO))
    assert found[kjenn.id].school_seconds_between(*span) == 0
    assert found[None].school_seconds_between(*span) == 6.25 * 3600


def decide_many(dates: list[date], answer: tuple[bool, str] | None, school: School | None = None) -> Days:
    school_id = school.id if school is not None else None
    return calendar_editing.set_days(dates, answer, school_id=school_id, by=ADMIN, now=NOW)


def test_days_are_put_back_as_they_were_and_the_audit_has_one_line(app: Flask) -> None:
    kjenn = add_school("Kjenn skole")
    decide(MONDAY, None, title="Høstferie")
    places: list[Place] = [(None, MONDAY), (None, TUESDAY)]
    before = calendar_editing.decided(places)
    assert before == {(None, MONDAY): (False, "Høstferie")}
    change = decide_many([MONDAY, TUESDAY], (True, "Skole likevel"))
    decide(MONDAY, kjenn)  # of another place: not touched
    lines = len(audited())
    assert calendar_editing.put_days_back(change, by=ADMIN, now=NOW) == 0
    assert calendar_editing.decided(places) == before
    assert calendar_editing.decided([(kjenn.id, MONDAY)]) == {(kjenn.id, MONDAY): (False, "Planleggingsdag")}
    line = factories.audited(1)[0]
    assert (line.action, line.subject) == ("calendar.put-back", "calendar:municipality")
    assert line.fields == {"school_id": None, "added": 0, "changed": 1, "removed": 1}
    assert calendar_editing.put_days_back(change, by=ADMIN, now=NOW) == 0
    assert len(audited()) == lines + 1
    removed = decide_many([MONDAY, TUESDAY], None)
    assert calendar_editing.decided(places) == {}
    assert calendar_editing.put_days_back(removed, by=ADMIN, now=NOW) == 0
    assert calendar_editing.decided(places) == before
    assert calendar_editing.decided([]) == {}


def test_what_others_have_decided_since_is_left_alone_and_so_is_a_school_that_is_no_more(app: Flask) -> None:
    kjenn, rasta = add_school("Kjenn skole"), add_school("Rasta skole")
    decide(MONDAY, rasta)
    here = decide_many([MONDAY, TUESDAY], (False, "Planleggingsdag"), kjenn)
    gone = decide_many([MONDAY], None, rasta)
    decide(TUESDAY, kjenn, title="Noe annet")
    db.session.delete(rasta)
    db.session.flush()
    change = Change({**here.before, **gone.before}, {**here.after, **gone.after})
    assert calendar_editing.put_days_back(change, by=ADMIN, now=NOW) == 2
    assert calendar_editing.decided([(kjenn.id, MONDAY), (kjenn.id, TUESDAY)]) == {
        (kjenn.id, TUESDAY): (False, "Noe annet")
    }


def test_putting_back_takes_as_many_statements_for_many_days_as_for_few(app: Flask, statements: list[str]) -> None:
    counts = []
    for number in (3, 300):
        dates = [MONDAY + timedelta(days=day) for day in range(number)]
        decide_many(dates[::2], (False, "Ferie"))
        change = decide_many(dates, (True, "Skole"))
        statements.clear()
        assert calendar_editing.put_days_back(change, by=ADMIN, now=NOW) == 0
        counts.append(len(statements))
        assert len(calendar_editing.decided([(None, on) for on in dates])) == len(dates[::2])
        decide_many(dates, None)
    assert counts[0] == counts[1] <= 8


def test_only_who_may_decide_puts_back(app: Flask) -> None:
    kjenn, rasta = add_school("Kjenn skole"), add_school("Rasta skole")
    change = decide_many([MONDAY], (False, "Fri"), kjenn)
    week = calendar_editing.set_week({0: (time(8), time(13))}, school_id=kjenn.id, by=ADMIN, now=NOW)
    with pytest.raises(ForbiddenError):
        calendar_editing.put_days_back(change, by=school_it(rasta), now=NOW)
    with pytest.raises(ForbiddenError):
        calendar_editing.put_week_back(week, school_id=kjenn.id, by=school_it(rasta), now=NOW)


def test_hours_are_put_back_but_for_weekdays_that_others_have_decided_since(app: Flask) -> None:
    kjenn = add_school("Kjenn skole")
    early, late = (time(8), time(13)), (time(9), time(15))
    change = calendar_editing.set_week({0: early, 1: early, 2: None}, school_id=kjenn.id, by=ADMIN, now=NOW)
    calendar_editing.set_hours(0, late, school_id=kjenn.id, by=ADMIN, now=NOW)
    assert calendar_editing.put_week_back(change, school_id=kjenn.id, by=ADMIN, now=NOW) == 1
    assert calendar_editing.own_hours(kjenn.id) == {0: late}


def test_own_hours_are_those_a_place_has_decided_itself(app: Flask) -> None:
    kjenn = add_school("Kjenn skole")
    early = (time(8), time(13))
    calendar_editing.set_hours(0, early, school_id=None, by=ADMIN, now=NOW)
    assert (calendar_editing.own_hours(None), calendar_editing.own_hours(kjenn.id)) == ({0: early}, {})
