"""Silence: counted in the school's own time, found once, ended by a word."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.checkins import receive
from fleet.checkins.receive import Report
from fleet.compliance import silence
from fleet.compliance.models import Finding, FindingKind
from fleet.compliance.quiet import Limits
from fleet.compliance.silence import Done
from fleet.db import db, transaction
from fleet.devices.models import Device, DeviceLife
from fleet.schools.models import CalendarDay, School
from tests import factories

OSLO = ZoneInfo("Europe/Oslo")
FEW, MANY = 10, 300


def oslo(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=OSLO)


MONDAY_MORNING, MONDAY_EVENING, TUESDAY = map(oslo, ("2026-09-14 08:00", "2026-09-14 20:00", "2026-09-15 12:00"))


SINGLE = Limits(silent=timedelta(hours=6), missing=timedelta(hours=60))  # about a school day, and about ten

LONELY = Limits(joins=timedelta(days=99), silent=timedelta(hours=6))  # each tablet counts singly


def run(now: datetime, limits: Limits = SINGLE) -> Done:
    with transaction():
        return silence.review(now=now, timezone=OSLO, limits=limits)


def tablet(at: School, *, enrolled: datetime = MONDAY_MORNING, seen: datetime | None = None) -> Device:
    made = factories.device(at, created_at=enrolled)
    factories.enrolment(made, at=enrolled, key=f"k{made.id}")
    made.state.last_seen_at = seen
    return made


def open_ids() -> set[int]:
    return set(db.session.scalars(select(Finding.device_id).where(Finding.closed_at.is_(None))))


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school()


def test_a_tablet_that_misses_a_school_day_is_silent_once(school: School) -> None:
    with transaction():
        heard, quiet = (tablet(school, seen=seen) for seen in (oslo("2026-09-14 13:00"), MONDAY_MORNING))
    assert run(oslo("2026-09-14 14:00")) == Done()
    assert run(MONDAY_EVENING) == Done(tablets=1, opened=1, asked=1)
    assert open_ids() == {quiet.id}
    assert (heard.state.has_findings, quiet.state.has_findings) == (False, True)
    found = db.session.scalars(select(Finding)).one()
    assert (found.kind, found.subject, found.opened_at) == (FindingKind.SILENT, "", MONDAY_EVENING)
    assert datetime.fromisoformat(found.detail["since"]) == MONDAY_MORNING


def test_a_second_run_changes_nothing(school: School, statements: list[str]) -> None:
    with transaction():
        tablet(school, seen=MONDAY_MORNING)
    assert run(MONDAY_EVENING).opened == 1
    statements.clear()
    assert run(TUESDAY) == Done()
    assert [one for one in statements if not one.lstrip().startswith("SELECT")] == []


def test_a_tablet_never_heard_from_counts_from_its_enrolment(school: School) -> None:
    with transaction():
        early = tablet(school, enrolled=MONDAY_MORNING)
        late = tablet(school, enrolled=oslo("2026-09-14 12:00"))
        again = tablet(school, enrolled=oslo("2026-09-14 12:00"), seen=oslo("2026-09-01 12:00"))
        unticketed = factories.device(school, created_at=MONDAY_MORNING)
    run(MONDAY_EVENING)
    assert open_ids() == {early.id, unticketed.id}
    run(TUESDAY)
    assert open_ids() == {early.id, unticketed.id, late.id, again.id}


@pytest.mark.parametrize("life", [DeviceLife.EXPECTED, DeviceLife.LOST, DeviceLife.RETIRED])
def test_only_enrolled_tablets_are_expected_to_speak(school: School, life: DeviceLife) -> None:
    with transaction():
        tablet(school).life = life
    assert run(TUESDAY) == Done()


def test_each_school_has_its_own_days(school: School) -> None:
    with transaction():
        away = factories.school("Ferieskolen")
        db.session.add(CalendarDay(school_id=away.id, on=date(2026, 9, 14), is_school_day=False, title="Fri"))
        here, there = tablet(school), tablet(away)
        homeless = tablet(school)
        homeless.school_id = None
    run(MONDAY_EVENING)
    assert open_ids() == {here.id, homeless.id}
    run(oslo("2026-09-15 20:00"))
    assert open_ids() == {here.id, homeless.id, there.id}


def test_a_day_declared_free_afterwards_ends_the_silence(school: School) -> None:
    with transaction():
        quiet = tablet(school)
    run(MONDAY_EVENING)
    with transaction():
        db.session.add(CalendarDay(school_id=None, on=date(2026, 9, 14), is_school_day=False, title="Snø"))
    assert run(MONDAY_EVENING) == Done(tablets=1, closed=1, withdrawn=1)
    assert not quiet.state.has_findings


def test_no_tablet_falls_silent_over_the_summer(school: School) -> None:
    with transaction():
        for number in range(56):
            on = date(2026, 6, 22) + timedelta(days=number)
            db.session.add(CalendarDay(school_id=school.id, on=on, is_school_day=False, title="Sommerferie"))
        tablet(school, enrolled=oslo("2026-06-01 08:00"), seen=oslo("2026-06-19 14:00"))
    assert run(oslo("2026-08-17 09:00")) == Done()
    assert run(oslo("2026-08-17 14:30")).opened == 1


def test_the_threshold_can_be_another(school: School) -> None:
    with transaction():
        tablet(school)
    assert run(oslo("2026-09-14 10:20"), limits=Limits(silent=timedelta(hours=2))).opened == 1


def test_a_report_ends_a_silence_even_if_it_tells_nothing_new(school: School) -> None:
    with transaction():
        quiet = tablet(school)

    def report(sequence: int, now: datetime) -> None:
        told = Report(
            device_id=quiet.id, key=f"k{quiet.id}", sequence=sequence, report_id=str(sequence), body_digest="b",
            applied=None, facts={},
        )  # fmt: skip
        with transaction():
            receive.receive([told], now=now)

    report(1, MONDAY_MORNING)
    run(MONDAY_EVENING)
    assert open_ids() == {quiet.id}
    report(2, TUESDAY)
    assert open_ids() == set()
    assert not quiet.state.has_findings


@pytest.mark.parametrize("limits", [SINGLE, LONELY])
def test_the_number_of_statements_does_not_grow_with_tablets(
    school: School, statements: list[str], limits: Limits
) -> None:
    counted: dict[int, list[int]] = {}
    for count in (FEW, MANY):
        with transaction():
            made = factories.tablets(school, count)
            for one in made:
                one.created_at = MONDAY_MORNING
        counted[count] = []
        for now in (MONDAY_EVENING, TUESDAY):
            statements.clear()
            done = run(now, limits)
            counted[count].append(len(statements))
            if now == MONDAY_EVENING:
                assert done.tablets == count
                assert (done.incidents, done.opened) == ((1, 0) if limits is SINGLE else (0, count))
            else:
                assert done == Done()
        with transaction():
            for one in made:
                one.state.last_seen_at = TUESDAY + timedelta(hours=1)
        statements.clear()
        done = run(TUESDAY + timedelta(hours=2), limits)
        assert (done.incidents_over, done.closed) == ((1, 0) if limits is SINGLE else (0, count))
        counted[count].append(len(statements))
    assert counted[FEW] == counted[MANY]
    assert max(counted[MANY]) <= 32


def test_who_is_quiet_is_found_without_going_through_what_is_long_over(
    school: School, statements: list[str], database_kind: str
) -> None:
    if database_kind != "sqlite":
        pytest.skip("PostgreSQL goes through a small table whatever indexes it has")
    with transaction():
        tablet(school, seen=MONDAY_MORNING)
    statements.clear()
    run(MONDAY_EVENING)
    (query,) = (one for one in statements if "FROM device JOIN" in one and "incident_member" in one)
    rows = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("",) * query.count("?")).all()
    told = [row[3] for row in rows]
    assert not {"SCAN finding", "SCAN incident_member"} & set(told)
    assert any("ix_finding_mute" in one for one in told)
