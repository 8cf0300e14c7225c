"""Lessons planned ahead: what may be planned, by whom, and how lessons come of it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Grant, Principal, Role
from fleet.assignments.models import LeasedTablet
from fleet.db import db, reading, transaction
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.job_runs import JobOutcome
from fleet.jobs.runner import run_now
from fleet.lessons import plans, sets, timetable
from fleet.lessons.models import Lesson, LessonPlan, LessonSet, SetKind
from fleet.people import accounts
from fleet.people.models import Account
from fleet.schools import calendar, calendar_editing
from fleet.schools.models import CalendarDay, School, SchoolClass
from tests import factories, races
from tests.conftest import NOW

CLI = Principal.command_line()
OSLO = ZoneInfo("Europe/Oslo")
TODAY = date(2026, 9, 14)  # a Monday; NOW is 10:15 in Oslo
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
STARTS = datetime(2026, 9, 14, 9, 0, tzinfo=UTC)  # 11:00 in Oslo


def acting(account: Account) -> Principal:
    return accounts.principal(account, today=TODAY)


@pytest.fixture
def school(app: Flask) -> School:
    with transaction():
        return factories.school("Kjenn skole")


@pytest.fixture
def of(school: School) -> SchoolClass:
    """Return a class with two tablets."""
    with transaction():
        made = factories.school_class(school, "8B")
        for one in factories.tablets(school, 2):
            pupil = factories.pupil(school)
            factories.membership(pupil, made)
            one.person_id = pupil.id
    return made


@pytest.fixture
def kari(of: SchoolClass) -> Principal:
    """Return a teacher of the class."""
    with transaction():
        return acting(factories.teacher("kari", of))


def given(of: SchoolClass, by: Principal = CLI) -> LessonSet:
    return sets.quick(SetKind.WEB, school_class=of, hosts=["nrk.no"], by=by, now=NOW)


def plan(of: SchoolClass, **told: Any) -> LessonPlan:
    """Plan a lesson for today, from 11:00 to 11:45, as the command line does."""
    by = told.get("by", CLI)
    wanted: dict[str, Any] = {
        "starts_at": time(11), "ends_at": time(11, 45), "holder_id": None, "by": by, "now": NOW, "timezone": OSLO,
    }  # fmt: skip
    when = {} if told.keys() & {"on", "weekday", "first_on"} else {"on": TODAY}
    return plans.plan(of, given(of, by), **(wanted | when | told))


def begin(now: datetime = NOW, **told: Any) -> int:
    return timetable.begin_due(now=now, timezone=OSLO, **told)


def lessons_of(found: LessonPlan) -> list[Lesson]:
    return list(db.session.scalars(select(Lesson).where(Lesson.plan_id == found.id).order_by(Lesson.starts_at)))


def test_a_teacher_plans_for_a_class_of_ones_own(of: SchoolClass, kari: Principal) -> None:
    with transaction():
        made = plan(of, weekday=2, last_on=date(2026, 12, 1), by=kari)
        line = factories.audited(1)[0]
    assert (made.holder_id, made.weekday, made.on, made.skipped) == (kari.account_id, 2, None, [])
    assert (line.action, line.subject) == ("lessons.plan-made", f"lesson-plan:{made.id}")
    assert line.fields == {
        "class_id": of.id,
        "set_id": made.set_id,
        "on": None,
        "weekday": 2,
        "starts_at": "11:00",
        "ends_at": "11:45",
    }


def test_nobody_plans_for_a_class_of_others(school: School, of: SchoolClass, kari: Principal) -> None:
    with transaction():
        other = factories.school_class(school, "9A")
        found = given(other)
        with pytest.raises(ForbiddenError):
            plans.plan(
                other,
                found,
                on=TODAY,
                starts_at=time(11),
                ends_at=time(12),
                holder_id=None,
                by=kari,
                now=NOW,
                timezone=OSLO,
            )


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"on": TODAY, "weekday": 0}, "day"),
        ({"first_on": TODAY}, "day"),
        ({"on": TODAY, "last_on": TODAY}, "day"),
        ({"weekday": 7}, "day"),
        ({"weekday": 0, "first_on": TODAY + DAY, "last_on": TODAY}, "day"),
        ({"starts_at": time(11, 45)}, "times"),
        ({"starts_at": time(10), "ends_at": time(10, 45)}, "past"),
        ({"on": TODAY - DAY}, "past"),
        ({"weekday": 0, "last_on": TODAY - DAY}, "never"),
        ({"weekday": 6}, "never"),
        ({"weekday": 5}, "never"),
        ({"on": TODAY + 500 * DAY}, "never"),
        ({"on": date(2027, 3, 28), "starts_at": time(2, 10), "ends_at": time(2, 50)}, "never"),
        ({"starts_at": time(11), "ends_at": time(13, 1)}, "too long"),
        ({"starts_at": time(14), "ends_at": time(14, 45)}, "outside school hours"),
        ({"weekday": 1, "starts_at": time(7), "ends_at": time(7, 45)}, "outside school hours"),
        ({"on": TODAY + 5 * DAY}, "outside school hours"),
    ],
)
def test_what_cannot_be_a_lesson_is_not_planned(
    of: SchoolClass, kari: Principal, told: dict[str, Any], reason: str
) -> None:
    with transaction(), pytest.raises(InvalidError) as refused:
        plan(of, **told, by=kari)
    assert refused.value.data["reason"] == reason
    assert db.session.scalars(select(LessonPlan)).all() == []


def test_who_may_teach_at_any_time_plans_outside_school_hours(school: School, of: SchoolClass) -> None:
    with transaction():
        it = acting(factories.account("it", (Role.SCHOOL_IT, school)))
        evening, saturday = {"starts_at": time(18), "ends_at": time(20)}, TODAY + 5 * DAY
        assert plan(of, **evening, by=it).holder_id == it.account_id
        assert plan(of, on=saturday, by=it).on == saturday
        with pytest.raises(InvalidError, match="too long"):
            plan(of, on=saturday + DAY, **(evening | {"ends_at": time(20, 1)}), by=it)


def test_a_lesson_may_begin_a_little_before_school_and_end_with_it(of: SchoolClass, kari: Principal) -> None:
    with transaction():
        assert plan(of, weekday=1, starts_at=time(8), ends_at=time(9), by=kari).id
        assert plan(of, weekday=1, starts_at=time(13, 30), ends_at=time(14, 30), by=kari).id


def test_the_holder_is_one_who_may_teach_the_class_then(school: School, of: SchoolClass, kari: Principal) -> None:
    with transaction():
        ola, stranger, gone = (
            factories.teacher("ola", of), factories.teacher("per", factories.school_class(school, "9A")), factories.teacher("liv", of)
        )  # fmt: skip
        gone.disabled_at = NOW
        assert plan(of, holder_id=ola.id, by=kari).holder_id == ola.id
        for holder_id in (stranger.id, gone.id, 10**6):
            with pytest.raises(InvalidError, match="holder"):
                plan(of, weekday=3, holder_id=holder_id, by=kari)


def test_plans_of_a_class_do_not_meet(school: School, of: SchoolClass) -> None:
    with transaction():
        first = plan(of, weekday=0, first_on=TODAY + 7 * DAY)
        with pytest.raises(ConflictError) as refused:
            plan(of, on=TODAY + 14 * DAY, starts_at=time(11, 30), ends_at=time(12))
        assert refused.value.data["id"] == first.id
        assert plan(of, on=TODAY).id != first.id
        assert plan(of, on=TODAY + 7 * DAY, starts_at=time(12), ends_at=time(13)).id
        assert plan(factories.school_class(school, "9A"), weekday=0).id
        timetable.withdraw(first.id, by=CLI, now=NOW)
        assert plan(of, on=TODAY + 14 * DAY).id


def test_a_date_that_is_left_out_is_free_until_somebody_takes_it(of: SchoolClass) -> None:
    on = TODAY + 7 * DAY
    with transaction():
        found = plan(of, weekday=0)
        timetable.skip(found.id, on, by=CLI, now=NOW, timezone=OSLO)
        assert found.skipped == [on.isoformat()]
        timetable.unskip(found.id, on, by=CLI, now=NOW, timezone=OSLO)
        assert found.skipped == []
        timetable.skip(found.id, on, by=CLI, now=NOW, timezone=OSLO)
        other = plan(of, on=on)
    with pytest.raises(ConflictError) as refused, transaction():
        timetable.unskip(found.id, on, by=CLI, now=NOW, timezone=OSLO)
    assert refused.value.data["id"] == other.id
    actions = [one.action for one in factories.audited(5)]
    assert actions == [
        "lessons.plan-made",
        "lessons.plan-skipped",
        "lessons.plan-unskipped",
        "lessons.plan-skipped",
        "lessons.plan-made",
    ]


def test_only_lessons_that_are_to_come_are_left_out(of: SchoolClass) -> None:
    def leave_out(on: date, now: datetime = NOW) -> None:
        timetable.skip(found.id, on, by=CLI, now=now, timezone=OSLO)

    with transaction():
        found = plan(of, weekday=0, last_on=TODAY + 14 * DAY)
        for on in (TODAY + DAY, TODAY + 21 * DAY):
            with pytest.raises(InvalidError, match="no lesson"):
                leave_out(on)
        for on, now in ((TODAY - 7 * DAY, NOW), (TODAY, STARTS)):
            with pytest.raises(ConflictError, match="begun"):
                leave_out(on, now)
        with pytest.raises(InvalidError, match="not left out"):
            timetable.unskip(found.id, TODAY, by=CLI, now=NOW, timezone=OSLO)
        timetable.withdraw(found.id, by=CLI, now=NOW)
        with pytest.raises(ConflictError, match="withdrawn already"):
            timetable.withdraw(found.id, by=CLI, now=NOW)
        with pytest.raises(ConflictError, match="withdrawn already"):
            leave_out(TODAY)


def test_plans_are_those_of_classes_one_teaches(
    school: School, of: SchoolClass, kari: Principal, statements: list[str]
) -> None:
    with transaction():
        other = factories.school_class(school, "9A")
        weekly, once, theirs = plan(of, weekday=2), plan(of, on=TODAY + DAY), plan(other)
        over, gone = plan(of, starts_at=time(10, 30), ends_at=time(11)), plan(of, weekday=4)
        over.on = TODAY - DAY
        timetable.withdraw(gone.id, by=CLI, now=NOW)
        db.session.flush()
        statements.clear()
        found = plans.listed(by=kari, now=NOW)
        assert [one.id for one in found] == [once.id, weekly.id]
        assert {one.set.title + one.school_class.title for one in found} == {"nrk.no8B"}
        assert len(statements) == 1
        it = Principal("account", "0", (Grant(Role.SCHOOL_IT, school.id),))
        elsewhere = Principal("account", "0", (Grant(Role.SCHOOL_IT, factories.school("Andre skole").id),))
        assert [one.id for one in plans.listed(by=it, now=NOW)] == [theirs.id, once.id, weekly.id]
        assert plans.listed(by=CLI, now=NOW) == plans.listed(by=it, now=NOW)
        assert plans.listed(by=elsewhere, now=NOW) == []
        assert plans.listed(school_class=other, by=it, now=NOW) == [theirs]
        with pytest.raises(ForbiddenError):
            plans.listed(school_class=other, by=kari, now=NOW)
        assert plans.get(once.id, by=kari) is once
        for number in (theirs.id, 10**6):
            with pytest.raises(NotFoundError):
                plans.get(number, by=kari)
            with pytest.raises(NotFoundError):
                timetable.withdraw(number, by=kari, now=NOW)


def test_a_class_is_planned_from_the_beginning_of_its_lesson_until_its_end(
    school: School, of: SchoolClass, statements: list[str]
) -> None:
    with transaction():
        other = factories.school_class(school, "9A")
        found = plan(of, weekday=0)
        plan(other, on=TODAY, starts_at=time(12), ends_at=time(13))
        calendars = calendar.load(OSLO)

        def planned(at: datetime, *classes: SchoolClass) -> set[int]:
            return set(plans.is_planned([one.id for one in classes or (of, other)], at=at, calendars=calendars))

        assert planned(STARTS - MINUTE) == planned(STARTS + 45 * MINUTE) == set()
        assert planned(STARTS) == planned(STARTS + 44 * MINUTE) == {of.id}
        assert planned(STARTS + 60 * MINUTE) == {other.id}
        assert planned(STARTS + 7 * DAY) == {of.id}
        assert planned(STARTS + DAY) == set()
        statements.clear()
        assert planned(STARTS, other) == set()
        assert len(statements) == 1
        assert plans.is_planned([], at=STARTS, calendars=calendars) == set()
        assert len(statements) == 1
        timetable.skip(found.id, TODAY, by=CLI, now=NOW, timezone=OSLO)
        assert planned(STARTS) == set()
        db.session.add(CalendarDay(school_id=school.id, on=TODAY + 7 * DAY, is_school_day=False, title="Plandag"))
        db.session.flush()
        calendars = calendar.load(OSLO)
        assert planned(STARTS + 7 * DAY) == set()
        assert planned(STARTS + 14 * DAY) == {of.id}
        sets.withdraw(found.set_id, by=CLI, now=NOW)
        assert planned(STARTS + 14 * DAY) == set()


def test_a_lesson_is_made_shortly_before_it_begins_and_once(
    of: SchoolClass, kari: Principal, statements: list[str]
) -> None:
    with transaction():
        found = plan(of, weekday=0, by=kari)
    with transaction():
        statements.clear()
        assert begin(STARTS - 21 * MINUTE) == 0
        assert len(statements) == 1
    with transaction():
        assert begin(STARTS - 20 * MINUTE) == 1
    with transaction():
        made = lessons_of(found)
        assert [(one.starts_at, one.ends_at, one.holder_id) for one in made] == [
            (STARTS, STARTS + 45 * MINUTE, kari.account_id)
        ]
        leased = db.session.scalars(select(LeasedTablet)).all()
        assert {(one.starts_at, one.ends_at) for one in leased} <= {(STARTS, STARTS + 45 * MINUTE)}
        statements.clear()
        assert begin(STARTS - 19 * MINUTE) == begin(STARTS + MINUTE) == 0
        assert len(statements) == 2 * 4
        assert begin(STARTS + 7 * DAY) == 1
        assert len(lessons_of(found)) == 2


@pytest.mark.parametrize(("late", "made"), [(timedelta(0), 1), (44 * MINUTE, 1), (45 * MINUTE, 0)])
def test_a_job_that_is_late_makes_what_has_not_ended(of: SchoolClass, late: timedelta, made: int) -> None:
    with transaction():
        found = plan(of)
        assert begin(STARTS + late) == made
        assert [one.starts_at for one in lessons_of(found)] == [STARTS] * made


@pytest.mark.parametrize("local", [time(0, 5), time(23, 50)])
def test_lessons_near_midnight_and_in_the_night_of_the_clocks_are_made(of: SchoolClass, local: time) -> None:
    autumn = date(2026, 10, 25)
    with transaction():
        first = plan(of, on=TODAY + DAY, starts_at=local, ends_at=time(local.hour, local.minute + 9))
        starts_at = datetime.combine(TODAY + DAY, local, OSLO).astimezone(UTC)
        assert begin(starts_at - 21 * MINUTE) == 0
        assert begin(starts_at - 19 * MINUTE) == 1
        assert lessons_of(first)[0].starts_at == starts_at
        night = plan(of, on=autumn, starts_at=time(2, 5), ends_at=time(2, 40))
        assert begin(datetime(2026, 10, 24, 23, 50, tzinfo=UTC)) == 1
        assert begin(datetime(2026, 10, 25, 1, 10, tzinfo=UTC)) == 0  # 02:10 again
        assert [one.ends_at for one in lessons_of(night)] == [datetime(2026, 10, 25, 0, 40, tzinfo=UTC)]


def set_withdrawn(found: LessonPlan) -> None:
    sets.withdraw(found.set_id, by=CLI, now=NOW)


def plan_withdrawn(found: LessonPlan) -> None:
    timetable.withdraw(found.id, by=CLI, now=NOW)


def date_left_out(found: LessonPlan) -> None:
    timetable.skip(found.id, TODAY, by=CLI, now=NOW, timezone=OSLO)


def class_ended(found: LessonPlan) -> None:
    found.school_class.ended_at = NOW


def school_ended(found: LessonPlan) -> None:
    found.school_class.school.ended_at = NOW


def holder_disabled(found: LessonPlan) -> None:
    assert found.holder is not None
    found.holder.disabled_at = NOW


def holder_left_the_class(found: LessonPlan) -> None:
    assert found.holder is not None
    found.holder.grants.clear()


@pytest.mark.parametrize(
    "change",
    [set_withdrawn, plan_withdrawn, date_left_out, class_ended, school_ended, holder_disabled, holder_left_the_class],
)
def test_no_lesson_comes_of_a_plan_that_does_not_stand(
    of: SchoolClass, kari: Principal, change: Callable[[LessonPlan], None]
) -> None:
    with transaction():
        found = plan(of, holder_id=kari.account_id)
        assert found.holder is not None
        change(found)
        db.session.flush()
        assert begin(STARTS - 10 * MINUTE) == begin(STARTS) == 0
        assert lessons_of(found) == []


def test_a_lesson_ends_with_a_school_day_that_has_become_shorter(
    school: School, of: SchoolClass, kari: Principal
) -> None:
    with transaction():
        cut = plan(of, holder_id=kari.account_id)
        off = plan(of, holder_id=kari.account_id, starts_at=time(12), ends_at=time(13))
        hours = (time(8, 15), time(11, 20))
        calendar_editing.set_hours(TODAY.weekday(), hours, school_id=school.id, by=CLI, now=NOW)
        assert begin(STARTS - 10 * MINUTE) == 1
        assert [one.ends_at for one in lessons_of(cut)] == [STARTS + 20 * MINUTE]
        assert begin(STARTS + 50 * MINUTE) == begin(STARTS + 65 * MINUTE) == 0
        assert lessons_of(off) == []


def test_a_lesson_is_no_longer_than_the_school_allows_by_now(school: School, of: SchoolClass, kari: Principal) -> None:
    with transaction():
        found = plan(of, holder_id=kari.account_id)
        school.longest_lesson_min = 30
        assert begin(STARTS) == 1
        assert [one.ends_at for one in lessons_of(found)] == [STARTS + 30 * MINUTE]


def test_outside_school_hours_only_who_may_hold_a_lesson_then_is_planned_for_it(
    of: SchoolClass, kari: Principal
) -> None:
    with transaction(), pytest.raises(InvalidError, match="outside school hours"):
        plan(of, starts_at=time(18), ends_at=time(19), holder_id=kari.account_id, by=CLI)


@pytest.mark.parametrize("change", [plan_withdrawn, date_left_out])
def test_a_lesson_that_was_made_is_taken_back_before_it_begins(
    of: SchoolClass, change: Callable[[LessonPlan], None]
) -> None:
    with transaction():
        found = plan(of)
        assert begin(STARTS - 10 * MINUTE) == 1
    with transaction():
        change(found)
    with transaction():
        made = lessons_of(found)
        assert [(one.starts_at, one.ends_at, one.ended_at) for one in made] == [(STARTS, STARTS, NOW)]
        assert db.session.scalars(select(LeasedTablet).where(LeasedTablet.ends_at > NOW)).all() == []
        assert begin(STARTS - 5 * MINUTE) == begin(STARTS) == 0
        if change is date_left_out:
            with pytest.raises(ConflictError, match="taken back"):
                timetable.unskip(found.id, TODAY, by=CLI, now=NOW, timezone=OSLO)


def test_a_lesson_that_has_begun_goes_on_when_its_plan_is_withdrawn(of: SchoolClass) -> None:
    with transaction():
        found = plan(of, weekday=0)
        assert begin(STARTS) == 1
        timetable.withdraw(found.id, by=CLI, now=STARTS + MINUTE)
        assert [one.ended_at for one in lessons_of(found)] == [None]
        assert begin(STARTS + 7 * DAY) == 0


def test_the_job_makes_all_that_is_due_a_few_at_a_time(app: Flask, school: School) -> None:
    with transaction():
        planned = [plan(factories.school_class(school, f"{number}X")) for number in range(timetable.AT_ONCE + 3)]
    assert begin(STARTS - 10 * MINUTE) == timetable.AT_ONCE
    db.session.rollback()
    result = run_now(app, "planned-lessons", by=CLI, now=lambda: STARTS - 10 * MINUTE)
    assert (result.outcome, result.counts) == (JobOutcome.DONE, {"lessons": len(planned)})
    assert all(len(lessons_of(one)) == 1 for one in planned)
    assert run_now(app, "planned-lessons", by=CLI, now=lambda: STARTS).counts == {"lessons": 0}


def outside(app: Flask) -> int:
    """Make a class with a plan on a database that threads share; returns the plan's number."""
    with app.app_context(), transaction():
        school = factories.school("Kjenn skole")
        of = factories.school_class(school)
        for one in factories.tablets(school, 2):
            pupil = factories.pupil(school)
            factories.membership(pupil, of)
            one.person_id = pupil.id
        return plan(of).id


def test_two_jobs_make_one_lesson(own_app: Flask) -> None:
    number = outside(own_app)
    assert sorted(map(str, races.together(own_app, [lambda: begin(STARTS)] * 3))) == ["0", "0", "1"]
    with own_app.app_context(), reading():
        assert len(lessons_of(db.session.get_one(LessonPlan, number))) == 1


def test_a_plan_that_is_withdrawn_while_its_lesson_is_made_gives_none(own_app: Flask) -> None:
    number = outside(own_app)
    soon = STARTS - MINUTE
    races.together(own_app, [lambda: begin(soon), lambda: timetable.withdraw(number, by=CLI, now=soon)])
    with own_app.app_context(), reading():
        assert [one for one in lessons_of(db.session.get_one(LessonPlan, number)) if one.ended_at is None] == []


def test_of_two_plans_that_meet_one_is_made(own_app: Flask) -> None:
    number = outside(own_app)
    with own_app.app_context(), reading():
        class_id = db.session.get_one(LessonPlan, number).class_id

    def again() -> None:
        plan(db.session.get_one(SchoolClass, class_id), on=TODAY + DAY)

    results = races.together(own_app, [again, again, again])
    assert sum(isinstance(one, ConflictError) for one in results) == 2
    with own_app.app_context(), reading():
        assert len(plans.listed(by=CLI, now=NOW)) == 2
