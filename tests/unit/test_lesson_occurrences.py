"""When planned lessons are: on their days, and inside their local times whatever the clocks do."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.lessons import plans
from fleet.lessons.models import LessonPlan
from fleet.schools.calendar import Calendar, Day, Origin

OSLO = ZoneInfo("Europe/Oslo")
# One hour at night; half an hour; at midnight.
ZONES = st.sampled_from([OSLO, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Africa/Cairo"), ZoneInfo("UTC")])
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)  # the nights when Oslo's clocks change, Sundays
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def once(on: date, starts_at: time, ends_at: time, created_at: datetime = LONG_AGO) -> LessonPlan:
    return LessonPlan(on=on, starts_at=starts_at, ends_at=ends_at, skipped=[], created_at=created_at)


def weekly(
    weekday: int = 0,
    starts_at: time = time(10),
    ends_at: time = time(10, 45),
    *,
    first_on: date | None = None,
    last_on: date | None = None,
    skipped: tuple[date, ...] = (),
    created_at: datetime = LONG_AGO,
) -> LessonPlan:
    return LessonPlan(
        weekday=weekday, first_on=first_on, last_on=last_on, starts_at=starts_at, ends_at=ends_at,
        skipped=[one.isoformat() for one in skipped], created_at=created_at,
    )  # fmt: skip


def utc(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC)


def exists(wall: datetime, zone: ZoneInfo) -> bool:
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall


@pytest.mark.parametrize(
    ("on", "starts_at", "ends_at", "span"),
    [
        (date(2026, 3, 27), time(10), time(11), (utc(date(2026, 3, 27), 9), utc(date(2026, 3, 27), 10))),
        (date(2026, 3, 30), time(10), time(11), (utc(date(2026, 3, 30), 8), utc(date(2026, 3, 30), 9))),
        # Spring: 02:00 is 03:00.
        (SPRING, time(2, 15), time(3, 30), (utc(SPRING, 1), utc(SPRING, 1, 30))),
        (SPRING, time(1, 30), time(2, 30), (utc(SPRING, 0, 30), utc(SPRING, 1))),
        (SPRING, time(1, 30), time(3, 30), (utc(SPRING, 0, 30), utc(SPRING, 1, 30))),
        (SPRING, time(2, 10), time(2, 50), None),
        (SPRING, time(2), time(3), None),
        # Autumn: 03:00 is 02:00 again.
        (AUTUMN, time(2, 30), time(3, 15), (utc(AUTUMN, 1, 30), utc(AUTUMN, 2, 15))),
        (AUTUMN, time(1, 30), time(2, 15), (utc(AUTUMN - timedelta(days=1), 23, 30), utc(AUTUMN, 0, 15))),
        (AUTUMN, time(2, 10), time(2, 40), (utc(AUTUMN, 0, 10), utc(AUTUMN, 0, 40))),
        (AUTUMN, time(1, 30), time(3, 30), (utc(AUTUMN - timedelta(days=1), 23, 30), utc(AUTUMN, 2, 30))),
    ],
)  # fmt: skip
def test_a_lesson_is_inside_its_local_times_when_the_clocks_change(
    on: date, starts_at: time, ends_at: time, span: tuple[datetime, datetime] | None
) -> None:
    assert plans.lesson_on(once(on, starts_at, ends_at), on, OSLO) == span


@given(
    zone=ZONES,
    on=st.dates(date(2023, 1, 1), date(2027, 12, 31)) | st.sampled_from([SPRING, AUTUMN, date(2026, 4, 5), date(2026, 10, 4), date(2026, 4, 24), date(2026, 10, 29), date(2026, 10, 30)]),
    minutes=st.lists(st.integers(0, 24 * 60 - 1), min_size=2, max_size=2, unique=True),
    percent=st.integers(0, 99),
)  # fmt: skip
@example(zone=OSLO, on=SPRING, minutes=[125, 175], percent=50)
@example(zone=OSLO, on=AUTUMN, minutes=[125, 175], percent=50)
@example(zone=OSLO, on=AUTUMN, minutes=[125, 185], percent=0)
def test_no_moment_of_a_lesson_is_outside_its_local_times(
    zone: ZoneInfo, on: date, minutes: list[int], percent: int
) -> None:
    starts_at, ends_at = ((datetime.combine(on, time()) + minute * MINUTE).time() for minute in sorted(minutes))
    span = plans.lesson_on(once(on, starts_at, ends_at), on, zone)
    first, last = datetime.combine(on, starts_at), datetime.combine(on, ends_at)
    is_there = [exists(first + number * MINUTE, zone) for number in range((last - first) // MINUTE)]
    assert (span is not None) == any(is_there)
    if span is None:
        return
    begins, ends = span
    for moment in (begins, begins + percent * (ends - begins) / 100, ends - timedelta(microseconds=1)):
        assert first <= moment.astimezone(zone).replace(tzinfo=None) < last
    if all(is_there) and begins.astimezone(zone).utcoffset() == ends.astimezone(zone).utcoffset():
        assert ends - begins == last - first


def instants(days: int) -> st.SearchStrategy[datetime]:
    """Give instants from August 2026 on."""
    return st.integers(0, days * 24 * 60).map(lambda minute: utc(date(2026, 8, 1), 0) + minute * MINUTE)


DAYS = st.dates(date(2026, 8, 1), date(2026, 12, 31))
CALENDAR = Calendar(
    OSLO,
    {
        one: Day(one, is_school_day=is_school_day, title="x", origin=Origin.SCHOOL)
        for one, is_school_day in ((date(2026, 10, 5), False), (date(2026, 10, 10), True))
    },
)
PLANS = st.one_of(
    st.builds(once, DAYS, st.just(time(2, 30)), st.just(time(3, 15))),
    st.builds(
        weekly, st.integers(0, 6), st.just(time(8, 15)), st.just(time(9)), first_on=st.none() | DAYS,
        last_on=st.none() | DAYS, skipped=st.lists(DAYS, max_size=3).map(tuple),
        created_at=instants(61),
    ),
)  # fmt: skip


@given(
    found=PLANS,
    since=instants(152),
    minutes=st.integers(0, 60 * 24 * 60),
)
def test_lessons_of_a_span_are_those_of_its_days(found: LessonPlan, since: datetime, minutes: int) -> None:
    until = since + minutes * MINUTE
    wanted = []
    for number in range((until - since).days + 5):
        on = since.date() + timedelta(days=number - 2)
        if found.on is not None:
            is_meant = found.on == on
        else:
            is_meant = (
                on.weekday() == found.weekday and CALENDAR.is_school_day(on) and on.isoformat() not in found.skipped
            )
            is_meant &= (found.first_on or on) <= on <= (found.last_on or on)
        span = plans.lesson_on(found, on, OSLO)
        if is_meant and span is not None and span[1] > since and span[0] <= until and span[0] >= found.created_at:
            wanted.append(span)
    assert plans.occurrences(found, since=since, until=until, calendar=CALENDAR) == wanted


def test_a_weekly_lesson_is_on_school_days_and_one_on_a_date_always() -> None:
    week = {"since": utc(date(2026, 10, 5), 0), "until": utc(date(2026, 10, 11), 23)}
    assert plans.occurrences(weekly(0), **week, calendar=CALENDAR) == []  # a planning day
    assert len(plans.occurrences(weekly(1), **week, calendar=CALENDAR)) == 1
    assert len(plans.occurrences(weekly(5), **week, calendar=CALENDAR)) == 1  # a Saturday with school
    assert len(plans.occurrences(weekly(6), **week, calendar=CALENDAR)) == 0
    assert len(plans.occurrences(once(date(2026, 10, 5), time(10), time(11)), **week, calendar=CALENDAR)) == 1


def test_nothing_is_planned_before_it_was() -> None:
    made_at = utc(date(2026, 9, 14), 8, 15)  # 10:15 in Oslo, while the lesson would run
    found = weekly(0, created_at=made_at)
    span = {"since": made_at - timedelta(days=30), "until": made_at + timedelta(days=8)}
    assert plans.occurrences(found, **span, calendar=CALENDAR) == [
        (utc(date(2026, 9, 21), 8), utc(date(2026, 9, 21), 8, 45))
    ]


MONDAY = date(2026, 9, 14)


@pytest.mark.parametrize(
    ("one", "other", "can"),
    [
        (once(MONDAY, time(10), time(11)), once(MONDAY, time(10, 30), time(12)), True),
        (once(MONDAY, time(10), time(11)), once(MONDAY, time(11), time(12)), False),
        (once(MONDAY, time(10), time(11)), once(MONDAY + timedelta(days=1), time(10), time(11)), False),
        (once(MONDAY, time(10), time(11)), weekly(0), True),
        (once(MONDAY, time(10), time(11)), weekly(1), False),
        (once(MONDAY, time(10), time(11)), weekly(0, first_on=MONDAY + timedelta(days=1)), False),
        (once(MONDAY, time(10), time(11)), weekly(0, last_on=MONDAY - timedelta(days=1)), False),
        (once(MONDAY, time(10), time(11)), weekly(0, skipped=(MONDAY,)), False),
        (weekly(0), weekly(0), True),
        (weekly(0), weekly(0, time(10, 45), time(11)), False),
        (weekly(0), weekly(3), False),
        (weekly(0, last_on=MONDAY), weekly(0, first_on=MONDAY), True),
        (weekly(0, last_on=MONDAY - timedelta(days=1)), weekly(0, first_on=MONDAY), False),
        (weekly(0, last_on=MONDAY + timedelta(days=6)), weekly(0, first_on=MONDAY + timedelta(days=1)), False),
        (weekly(0, first_on=MONDAY), weekly(0), True),
    ],
)
def test_plans_meet_where_a_day_and_a_time_are_the_same(one: LessonPlan, other: LessonPlan, *, can: bool) -> None:
    assert plans.can_meet(one, other) is plans.can_meet(other, one) is can
