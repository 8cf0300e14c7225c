"""Figures of days: what is counted when, who sees which sums, and when they go."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.compliance.models import FindingKind
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife
from fleet.lessons.models import Lesson
from fleet.reports import figures
from fleet.reports.figures import Day
from fleet.reports.models import DayFigures
from fleet.schools.models import School, SchoolClass
from tests import factories, visiting
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")
TODAY = date(2026, 9, 14)
CLI = Principal.command_line()


def at_school(school: School, role: Role = Role.SCHOOL_IT) -> Principal:
    return Principal("account", "1", grants=(Grant(role, school.id),))


def heard(school: School, at: datetime = NOW, **columns: Any) -> Device:
    made = factories.device(school, **columns)
    factories.told(made, at=at, applied=factories.shall_have(made))
    return made


def lesson(of: SchoolClass, starts_at: datetime) -> None:
    times = {"starts_at": starts_at, "ends_at": starts_at + timedelta(minutes=45), "created_at": starts_at}
    db.session.add(Lesson(class_id=of.id, takes_unseen=False, **times))
    db.session.flush()


def record(now: datetime = NOW) -> int:
    with transaction():
        return figures.record(now=now, timezone=OSLO)


def trend(by: Principal = CLI, now: datetime = NOW, **given: Any) -> list[Day]:
    return list(figures.trend(by=by, now=now, timezone=OSLO, **given))


def test_day_counts_what_holds_and_what_happened_on_it(app: Flask) -> None:
    midnight = datetime(2026, 9, 14, tzinfo=OSLO)
    with transaction():
        school = factories.school()
        of = factories.school_class(school)
        heard(school)
        heard(school, midnight)
        heard(school, midnight - timedelta(seconds=1))
        visiting.finding(heard(school), FindingKind.SILENT)
        late = heard(school)
        factories.shall_have(late, at=NOW, **{"camera.allowed": True})
        factories.device(school)  # never heard from
        for life in (DeviceLife.EXPECTED, DeviceLife.PENDING, DeviceLife.LOST, DeviceLife.RETIRED):
            heard(school, life=life)
        for starts_at in (midnight - timedelta(hours=1), midnight, NOW, NOW + timedelta(hours=1)):
            lesson(of, starts_at)
    assert record() == 1
    assert trend() == [Day(TODAY, tablets=9, enrolled=6, seen=4, applied=4, compliant=5, lessons=2)]


def test_last_word_of_a_day_counts_and_others_days_stay(app: Flask) -> None:
    with transaction():
        school = factories.school()
        heard(school)
    record(NOW - timedelta(days=1))
    record()
    with transaction():
        heard(school)
    record(NOW + timedelta(hours=1))
    record(NOW + timedelta(hours=1))
    assert [(day.on, day.tablets) for day in trend()] == [(date(2026, 9, 13), 1), (TODAY, 2)]
    assert len(db.session.scalars(select(DayFigures.id)).all()) == 2


def test_local_day_begins_at_midnight_in_oslo(app: Flask) -> None:
    with transaction():
        heard(factories.school())
    record(datetime(2026, 9, 14, 21, 59, tzinfo=ZoneInfo("UTC")))
    record(datetime(2026, 9, 14, 22, 0, tzinfo=ZoneInfo("UTC")))
    assert [day.on for day in trend(now=NOW + timedelta(days=1))] == [TODAY, date(2026, 9, 15)]


def test_everybody_sees_the_sums_of_the_own_schools(app: Flask) -> None:
    with transaction():
        one, other = factories.school("Prøveskolen"), factories.school("Naboskolen")
        for school in (one, one, other):
            heard(school)
        nowhere = heard(other)
        nowhere.school_id = None
    assert record() == 3
    assert [day.tablets for day in trend()] == [4]
    assert [day.tablets for day in trend(school_id=other.id)] == [1]
    assert [day.tablets for day in trend(at_school(one))] == [2]
    assert trend(at_school(one), school_id=other.id) == []
    assert trend(at_school(one, Role.TEACHER)) == []
    assert trend(Principal("account", "2")) == []


def test_trend_is_so_many_days_with_today_as_the_last(app: Flask) -> None:
    with transaction():
        heard(factories.school())
    for back in (30, 29, 1, 0):
        record(NOW - timedelta(days=back))
    assert [(TODAY - day.on).days for day in trend()] == [29, 1, 0]
    assert [(TODAY - day.on).days for day in trend(days=2)] == [1, 0]


@pytest.mark.parametrize("schools", [1, 20])
def test_figures_cost_the_same_statements_however_many_schools(app: Flask, statements: list[str], schools: int) -> None:
    with transaction():
        for number in range(schools):
            heard(factories.school(f"Skole {number}"))
    statements.clear()
    assert record() == schools
    assert len(statements) == 2
    statements.clear()
    trend()
    assert len(statements) == 1
