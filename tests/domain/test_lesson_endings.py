"""Until when a lesson may last, as a teacher chooses."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from fleet.access import Grant, Principal, Role
from fleet.db import db, transaction
from fleet.lessons import endings
from fleet.lessons.models import Lesson
from fleet.schools.models import Bell, SchoolClass
from tests import factories, lessons
from tests.conftest import NOW

OSLO = ZoneInfo("Europe/Oslo")
DAY = timedelta(days=1)


def at(hour: int, minute: int = 0) -> datetime:
    """Return the instant of a local time on the day of NOW."""
    return datetime(2026, 9, 14, hour, minute, tzinfo=OSLO).astimezone(UTC)


@pytest.fixture
def school_class(app: Flask) -> SchoolClass:
    assert app
    with transaction():
        return factories.school_class(factories.school())


def teaches(school_class: SchoolClass) -> Principal:
    return Principal(
        "account", "1", (Grant(Role.TEACHER, school_class.school_id),), frozenset({school_class.id}), NOW.date()
    )


def test_ends_are_round_in_order_and_never_after_the_latest() -> None:
    found = endings.choices(at(13, 32), latest=at(14, 30), usual=at(14), day_end=at(14, 30))
    assert [(one.until, one.why, one.minutes) for one in found] == [
        (at(14), "usual", 28),
        (at(14, 15), "minutes", 43),
        (at(14, 30), "school-day", 58),
    ]
    assert endings.default(found, now=at(13, 32)).why == "usual"


def test_without_a_usual_end_the_common_lesson_hour_is_chosen() -> None:
    found = endings.choices(NOW, latest=at(12, 15), usual=None, day_end=at(14, 30))
    assert [one.minutes for one in found] == [30, 45, 60]
    assert endings.default(found, now=NOW).minutes == 45


def test_where_no_end_fits_there_is_the_latest() -> None:
    found = endings.choices(NOW, latest=NOW + timedelta(minutes=20), usual=None, day_end=None)
    assert [(one.why, one.minutes) for one in found] == [("longest", 20)]


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (at(9, 50), at(11)),
        (at(10, 15), at(11)),
        (at(9, 49), None),
        (at(10, 49), at(11)),
        (at(10, 50), at(12)),
        (at(12, 30), None),
    ],
)
def test_usual_end_is_that_of_the_newest_earlier_lesson_at_this_time_of_day(
    now: datetime, end: datetime | None
) -> None:
    earlier = [
        (at(11) - DAY, at(12) - DAY),
        (at(10) - 2 * DAY, at(11) - 2 * DAY),
        (at(10) - 3 * DAY, at(10, 50) - 3 * DAY),
    ]
    assert endings.usual_end(earlier, now=now, timezone=OSLO) == end


def test_usual_end_is_a_local_time_through_the_change_of_the_clocks() -> None:
    in_summer = (datetime(2026, 10, 23, 8, tzinfo=UTC), datetime(2026, 10, 23, 9, tzinfo=UTC))  # 10 to 11 in Oslo
    now = datetime(2026, 10, 26, 9, 5, tzinfo=UTC)  # 10:05 in Oslo
    assert endings.usual_end([in_summer], now=now, timezone=OSLO) == datetime(2026, 10, 26, 10, tzinfo=UTC)


def test_a_class_has_the_ends_of_its_own_earlier_lessons_and_its_school_day(
    school_class: SchoolClass, statements: list[str]
) -> None:
    with transaction():
        for days, ends_at, ended_at in ((7, at(11), None), (1, at(10, 40), at(10, 40) - DAY), (100, at(11, 30), None)):
            db.session.add(
                Lesson(
                    class_id=school_class.id,
                    starts_at=at(10) - days * DAY,
                    ends_at=ends_at - days * DAY,
                    ended_at=ended_at,
                    takes_unseen=False,
                    created_at=NOW - days * DAY,
                )
            )
        db.session.flush()
        statements.clear()
        found = endings.endings(school_class, by=teaches(school_class), now=NOW, timezone=OSLO)
    assert len(statements) == 4 + 1  # and the school, which was not loaded with its class
    assert [(one.until, one.why) for one in found.choices] == [
        (at(10, 45), "minutes"), (at(11), "usual"), (at(11, 15), "minutes"),
    ]  # fmt: skip
    assert found.default == found.choices[1]
    assert found.hours == (time(8, 15), time(14, 30))


@pytest.mark.parametrize(("now", "hours"), [(at(18), True), (at(10) + 5 * DAY, False)])
def test_outside_school_hours_a_teacher_has_no_end_and_it_has(
    school_class: SchoolClass, now: datetime, hours: bool
) -> None:
    found = endings.endings(school_class, by=teaches(school_class), now=now, timezone=OSLO)
    assert (list(found.choices), found.default, found.hours is not None) == ([], None, hours)
    anybody = endings.endings(school_class, by=Principal.command_line(), now=now, timezone=OSLO)
    assert [one.minutes for one in anybody.choices] == [30, 45, 60]


PERIODS = [endings.Hour(at(*span[:2]), at(*span[2:])) for span in ((8, 30, 9, 15), (9, 25, 10, 10), (10, 30, 11, 15), (11, 45, 12, 30))]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "rings"),
    [
        (at(8, 15), [at(9, 15), at(10, 10), at(11, 15)]),
        (at(8, 14), []),  # nobody begins so early
        (at(9, 5), [at(9, 15), at(10, 10), at(11, 15)]),
        (at(9, 6), []),  # nine minutes are no lesson, and the next period is far
        (at(9, 12), [at(10, 10), at(9, 15), at(11, 15)]),
        (at(10, 20), [at(11, 15), at(12, 30)]),
        (at(12, 21), []),
        (at(14), []),
    ],
)
def test_the_bell_is_that_of_the_period_one_is_in_or_that_is_about_to_begin(
    now: datetime, rings: list[datetime]
) -> None:
    assert endings.rings_of(PERIODS, now=now) == rings


def test_the_bell_goes_before_the_usual_end_and_minutes_give_way_to_it() -> None:
    found = endings.choices(
        at(10, 35), latest=at(12, 30), usual=at(11), day_end=at(12, 30), rings=[at(11, 15), at(12, 30)]
    )
    assert [(one.until, one.why) for one in found] == [
        (at(11), "usual"), (at(11, 5), "minutes"), (at(11, 15), "bell"), (at(12, 30), "later-bell"),
    ]  # fmt: skip
    assert endings.default(found, now=at(10, 35)).until == at(11, 15)


def ring(school_class: SchoolClass, *spans: tuple[time, time]) -> None:
    for starts_at, ends_at in spans:
        db.session.add(Bell(school_id=school_class.school_id, weekday=0, starts_at=starts_at, ends_at=ends_at))
    db.session.flush()


def test_a_lesson_lasts_until_the_schools_bell_and_the_days_periods_are_told(school_class: SchoolClass) -> None:
    with transaction():
        ring(school_class, (time(10), time(10, 50)), (time(11), time(11, 45)))
        found = endings.endings(school_class, by=teaches(school_class), now=NOW, timezone=OSLO)
        on_saturday = endings.endings(school_class, by=Principal.command_line(), now=NOW + 5 * DAY, timezone=OSLO)
    assert found.default is not None
    assert (found.default.until, found.default.why, found.default.minutes) == (at(10, 50), "bell", 35)
    assert found.latest == at(12, 15)
    assert found.periods == [endings.Hour(at(10), at(10, 50)), endings.Hour(at(11), at(11, 45))]
    assert on_saturday.periods == []


def test_a_lesson_that_runs_is_made_longer_by_minutes_or_to_the_bell_and_never_too_long(
    app: Flask, statements: list[str]
) -> None:
    assert app
    with transaction():
        room = lessons.room()
        lesson = room.start(until=at(11))
        ring(room.of, (time(10), time(10, 50)), (time(11, 5), time(11, 50)), (time(12), time(12, 45)))
        statements.clear()
        found = endings.later(lesson, by=room.teacher, now=NOW, timezone=OSLO)
    assert len(statements) == 3
    assert [(one.until, one.why, one.minutes) for one in found] == [
        (at(11, 5), "minutes", 5), (at(11, 10), "minutes", 10), (at(11, 50), "bell", 50),
    ]  # fmt: skip
