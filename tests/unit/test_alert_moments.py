"""When letters are due: on school days, at the reader's time, and at night only what is serious."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from fleet.alerts import moments
from fleet.compliance.models import Severity
from fleet.schools.calendar import Calendar, Day, Origin

OSLO = ZoneInfo("Europe/Oslo")
CALENDAR = Calendar(OSLO, {date(2026, 9, 15): Day(date(2026, 9, 15), False, "Plandag", Origin.SCHOOL)})


def oslo(day: int, hour: int, minute: int = 0, *, month: int = 9) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=OSLO).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "at", "due"),
    [
        (oslo(14, 7), time(8), oslo(14, 8)),
        (oslo(14, 8), time(8), oslo(16, 8)),  # the planning day between is no school day
        (oslo(18, 12), time(9, 30), oslo(21, 9, 30)),  # over the weekend
        (oslo(19, 12, month=6), time(8), oslo(22, 8, month=6)),
        (oslo(23, 12, month=10), time(8), oslo(26, 8, month=10)),  # summer time ends between
    ],
)
def test_a_digest_comes_at_the_readers_time_on_the_next_school_day(now: datetime, at: time, due: datetime) -> None:
    assert moments.digest_moment(CALENDAR, at, now) == due


@pytest.mark.parametrize(
    ("now", "severity", "due"),
    [
        (oslo(14, 10), Severity.NOTE, oslo(14, 10) + moments.GATHER),
        (oslo(14, 15, 59), Severity.WARNING, oslo(14, 15, 59) + moments.GATHER),
        (oslo(14, 16), Severity.WARNING, oslo(16, 7, 30)),
        (oslo(14, 7, 29), Severity.WARNING, oslo(14, 7, 30)),
        (oslo(19, 12), Severity.WARNING, oslo(21, 7, 30)),
        (oslo(14, 23), Severity.SERIOUS, oslo(14, 23) + moments.GATHER),
        (oslo(19, 12), Severity.SERIOUS, oslo(19, 12) + moments.GATHER),
    ],
)
def test_only_what_is_serious_comes_in_the_evening_and_on_days_off(
    now: datetime, severity: Severity, due: datetime
) -> None:
    assert moments.at_once_moment(CALENDAR, severity, now) == due


def test_nobody_has_answered_once_a_whole_school_day_has_passed() -> None:
    since = oslo(14, 10)
    assert not moments.is_unanswered(CALENDAR, since, oslo(15, 23))
    assert not moments.is_unanswered(CALENDAR, since, oslo(16, 9, 59))
    assert moments.is_unanswered(CALENDAR, since, oslo(16, 10, 1))


def test_a_calendar_without_school_still_gives_a_moment() -> None:
    never = {date(2026, 9, 1) + timedelta(days=one): one for one in range(300)}
    empty = Calendar(OSLO, {on: Day(on, False, "Stengt", Origin.SCHOOL) for on in never})
    assert moments.digest_moment(empty, time(8), oslo(14, 9)) == oslo(15, 9)
