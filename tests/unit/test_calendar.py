"""School days, school hours and school time: pure."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.schools.calendar import DEFAULT_HOURS, Calendar, Day, Origin, is_any_school_time, public_holidays

OSLO = ZoneInfo("Europe/Oslo")
ORDINARY = Calendar(OSLO)
DAY_S = int(timedelta(hours=6, minutes=15).total_seconds())
AUTUMN = {
    date(2026, 9, 28) + timedelta(days=n): Day(date(2026, 9, 28) + timedelta(days=n), False, "Høstferie", Origin.SCHOOL)
    for n in range(5)
}
# School through the nights when clocks change: Sunday 29 March and 25 October 2026, and half an hour skipped by spring.
NIGHTS = Calendar(
    OSLO,
    {on: Day(on, True, "Natteskole", Origin.SCHOOL) for on in (date(2026, 3, 29), date(2026, 10, 25))},
    {6: (time(0), time(6))},
)


def oslo(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=OSLO).astimezone(UTC)


instants = st.datetimes(min_value=datetime(2023, 1, 1), max_value=datetime(2029, 12, 31)).map(  # noqa: DTZ001 (aware on the next line)
    lambda moment: moment.replace(tzinfo=UTC)
)
calendars = st.sampled_from([ORDINARY, Calendar(OSLO, AUTUMN), NIGHTS, Calendar(OSLO, hours={2: (time(8), time(12))})])


@pytest.mark.parametrize(
    ("on", "title"),
    [
        ("2026-01-01", "Første nyttårsdag"),
        ("2026-04-02", "Skjærtorsdag"),
        ("2026-04-03", "Langfredag"),
        ("2026-04-06", "Andre påskedag"),
        ("2027-03-29", "Andre påskedag"),  # Easter moves
        ("2026-05-01", "Arbeidernes dag"),
        ("2028-05-17", "Grunnlovsdag"),
        ("2026-05-14", "Kristi himmelfartsdag"),
        ("2027-05-06", "Kristi himmelfartsdag"),
        ("2026-05-25", "Andre pinsedag"),
        ("2026-12-25", "Første juledag"),
    ],
)
def test_there_is_no_school_on_a_public_holiday(on: str, title: str) -> None:
    day = date.fromisoformat(on)
    assert day.weekday() < 5
    assert public_holidays(day.year)[day] == title
    assert not ORDINARY.is_school_day(day)
    assert ORDINARY.hours_on(day) is None


@pytest.mark.parametrize("on", ["2026-05-15", "2026-12-24", "2026-09-14", "2026-09-18"])
def test_there_is_school_on_other_weekdays(on: str) -> None:
    assert ORDINARY.is_school_day(date.fromisoformat(on))
    assert ORDINARY.hours_on(date.fromisoformat(on)) == DEFAULT_HOURS


@pytest.mark.parametrize("on", ["2026-09-12", "2026-09-13"])
def test_there_is_no_school_at_the_weekend(on: str) -> None:
    assert not ORDINARY.is_school_day(date.fromisoformat(on))


def test_a_decided_day_beats_holiday_and_weekend() -> None:
    constitution, saturday = date(2027, 5, 17), date(2026, 9, 12)
    decided = {on: Day(on, True, "Skoledag", Origin.MUNICIPALITY) for on in (constitution, saturday)}
    calendar = Calendar(OSLO, decided)
    assert calendar.is_school_day(constitution)
    assert calendar.is_school_day(saturday)


def test_special_days_are_holidays_and_decisions_in_order() -> None:
    days = Calendar(OSLO, AUTUMN).special_days(date(2026, 5, 14), date(2026, 9, 29))
    assert [(day.on.isoformat(), day.origin.value) for day in days] == [
        ("2026-05-14", "holiday"),
        ("2026-05-17", "holiday"),
        ("2026-05-24", "holiday"),
        ("2026-05-25", "holiday"),
        ("2026-09-28", "school"),
        ("2026-09-29", "school"),
    ]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-09-14 08:14:59", False),
        ("2026-09-14 08:15", True),
        ("2026-09-14 14:29:59", True),
        ("2026-09-14 14:30", False),
        ("2026-09-13 10:00", False),
        ("2026-01-01 00:00", False),
        ("2026-12-15 08:15", True),  # winter time
    ],
)
def test_school_time_is_local_and_excludes_its_end(moment: str, expected: bool) -> None:
    assert ORDINARY.is_school_time(oslo(moment)) is expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-09-14 08:15", "2026-09-14 14:30", DAY_S),
        ("2026-09-14 00:00", "2026-09-15 00:00", DAY_S),
        ("2026-09-14 10:00", "2026-09-14 10:00:30", 30),
        ("2026-09-11 14:30", "2026-09-14 08:15", 0),  # over a weekend
        ("2026-09-11 14:20", "2026-09-14 08:25", 1200),
        ("2026-03-27 12:00", "2026-03-30 12:00", DAY_S),  # clocks go forward that weekend
        ("2026-10-23 12:00", "2026-10-26 12:00", DAY_S),  # and back
        ("2026-05-13 14:30", "2026-05-15 08:15", 0),  # Ascension Day between
        ("2026-12-31 12:00", "2027-01-04 12:00", 9000 + 2700 + DAY_S - DAY_S + 10800),  # over New Year
    ],
)
def test_school_seconds_between_two_instants(since: str, until: str, expected: int) -> None:
    assert ORDINARY.school_seconds_between(oslo(since), oslo(until)) == expected
    assert ORDINARY.school_seconds_between(oslo(until), oslo(since)) == -expected


def test_the_night_clocks_change_lasts_as_long_as_it_lasts() -> None:
    spring = NIGHTS.school_seconds_between(oslo("2026-03-29 00:00"), oslo("2026-03-29 12:00"))
    autumn = NIGHTS.school_seconds_between(oslo("2026-10-25 00:00"), oslo("2026-10-25 12:00"))
    assert (spring, autumn) == (5 * 3600, 7 * 3600)


def test_hours_that_spring_skips_count_as_nothing() -> None:
    on = date(2026, 3, 29)
    calendar = Calendar(OSLO, {on: Day(on, True, "x", Origin.SCHOOL)}, {6: (time(2, 45), time(3, 15))})
    assert calendar.school_seconds_between(oslo("2026-03-29 00:00"), oslo("2026-03-29 12:00")) == 0
    assert not calendar.is_school_time(oslo("2026-03-29 03:10"))


@given(calendars, instants, instants, instants)
def test_spans_add_up(calendar: Calendar, a: datetime, b: datetime, c: datetime) -> None:
    between = calendar.school_seconds_between
    assert between(a, b) + between(b, c) == between(a, c)


@given(calendars, instants, st.integers(0, 60 * 86_400))
def test_no_span_has_more_school_than_time_nor_less_than_none(calendar: Calendar, a: datetime, seconds: int) -> None:
    assert 0 <= calendar.school_seconds_between(a, a + timedelta(seconds=seconds)) <= seconds


@given(calendars, instants, st.integers(1, 900))
def test_counting_agrees_with_looking_at_every_second(calendar: Calendar, a: datetime, seconds: int) -> None:
    counted = sum(calendar.is_school_time(a + timedelta(seconds=n)) for n in range(seconds))
    assert calendar.school_seconds_between(a, a + timedelta(seconds=seconds)) == counted


@given(calendars, instants, st.integers(1, 300 * 3600))
def test_subtracting_school_seconds_is_the_last_instant_that_counts_them(
    calendar: Calendar, a: datetime, n: int
) -> None:
    begun = calendar.subtract_school_seconds(a, n)
    assert calendar.school_seconds_between(begun, a) == n
    assert calendar.school_seconds_between(begun + timedelta(seconds=1), a) == n - 1


def test_subtracting_nothing_stays_where_it_is() -> None:
    assert ORDINARY.subtract_school_seconds(oslo("2026-09-13 12:00"), 0) == oslo("2026-09-13 12:00")


def test_subtracting_a_school_day_begins_with_school_over_holidays_and_new_year() -> None:
    assert ORDINARY.subtract_school_seconds(oslo("2026-04-07 08:15"), DAY_S) == oslo("2026-04-01 08:15")
    assert ORDINARY.subtract_school_seconds(oslo("2027-01-04 08:15"), DAY_S) == oslo("2026-12-31 08:15")


def test_it_is_school_time_anywhere_as_soon_as_one_school_has_school() -> None:
    away = Calendar(OSLO, AUTUMN)
    assert is_any_school_time([away, ORDINARY], oslo("2026-09-28 10:00"))
    assert not is_any_school_time([away], oslo("2026-09-28 10:00"))
    assert not is_any_school_time([away, ORDINARY], oslo("2026-09-28 20:00"))
