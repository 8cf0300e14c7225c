"""A school calendar in iCalendar's form, taken into the database: by its words, or as a person says."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import db
from fleet.errors import ForbiddenError, InvalidFileError
from fleet.schools import calendar, calendar_import
from fleet.schools.calendar_words import Meaning
from fleet.schools.models import School
from tests import factories
from tests.conftest import NOW
from tests.unit.test_calendar_ics import calendar as file_of

OSLO = ZoneInfo("Europe/Oslo")
ADMIN = Principal("account", "1", (Grant(Role.MUNICIPAL_ADMIN, None),))
_AUTUMN = "DTSTART;VALUE=DATE:20261005\nDTEND;VALUE=DATE:20261010\nSUMMARY:Høstferie"  # line 3
_PLANNING = "DTSTART;VALUE=DATE:20261009\nSUMMARY:Planleggingsdag"  # line 8
_FIRST_DAY = "DTSTART;VALUE=DATE:20260817\nSUMMARY:Første skoledag"  # line 12
_THEME = "DTSTART;VALUE=DATE:20261104\nSUMMARY:Temadag"  # line 16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (found := tmp_path / "skolerute.ics").write_text(file_of(_AUTUMN, _PLANNING, _FIRST_DAY, _THEME))
    return found


def test_days_off_are_taken_and_news_is_not(app: Flask, file: Path) -> None:
    plan = calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    assert plan.counts() == {"added": 5, "changed": 0, "unchanged": 0}
    found = calendar.load(OSLO)[None]
    assert [found.days[date(2026, 10, on)].title for on in (8, 9)] == ["Høstferie", "Planleggingsdag"]
    assert found.is_school_day(date(2026, 8, 17))
    assert found.is_school_day(date(2026, 11, 4))
    assert factories.audited(1)[0].fields["file_name"] == "skolerute.ics"
    again = calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    assert again.counts() == {"added": 0, "changed": 0, "unchanged": 5}
    assert len(factories.audited()) == 1


def test_a_person_says_what_entries_are(app: Flask, file: Path) -> None:
    meant = {3: Meaning.NEWS, 16: Meaning.DAY_OFF, 999: Meaning.DAY_OFF}
    calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW, meant=meant)
    assert sorted(calendar.load(OSLO)[None].days) == [date(2026, 10, 9), date(2026, 11, 4)]


def test_a_calendar_of_news_alone_changes_nothing(app: Flask, file: Path) -> None:
    file.write_text(file_of(_FIRST_DAY))
    assert calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW).counts()["added"] == 0
    assert factories.audited() == []


def test_a_school_takes_it_for_itself_alone(app: Flask, file: Path) -> None:
    db.session.add(kjenn := School(name="Kjenn skole"))
    db.session.flush()
    by = Principal("account", "2", (Grant(Role.SCHOOL_IT, kjenn.id),))
    with pytest.raises(ForbiddenError):
        calendar_import.propose_days(file, school_id=None, by=by)
    calendar_import.import_days(file, school_id=kjenn.id, by=by, now=NOW)
    found = calendar.load(OSLO)
    assert [found[place].is_school_day(date(2026, 10, 5)) for place in (None, kjenn.id)] == [True, False]


def test_a_large_or_faulty_file_is_refused_whole(app: Flask, file: Path) -> None:
    file.write_text(file_of(_AUTUMN, "DTSTART;VALUE=DATE:20260230\nSUMMARY:Fri"))
    with pytest.raises(InvalidFileError):
        calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    file.write_text(file_of(_AUTUMN + "x" * calendar_import.MAX_BYTES))
    with pytest.raises(InvalidFileError) as refused:
        calendar_import.import_days(file, school_id=None, by=ADMIN, now=NOW)
    assert [problem.code for problem in refused.value.problems] == ["too-large"]
    assert calendar.load(OSLO)[None].days == {}
