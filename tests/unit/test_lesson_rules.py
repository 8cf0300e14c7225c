"""When a lesson may be, who is in, and which of two lessons has a pupil: pure decisions."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.lessons.models import Part
from fleet.lessons.rules import EARLY, LATE, Claim, Presence, limits, part_of, settle
from fleet.schools.calendar import Calendar, Day, Origin

OSLO = ZoneInfo("Europe/Oslo")
CALENDAR = Calendar(
    OSLO, {date(2026, 9, 15): Day(date(2026, 9, 15), is_school_day=False, title="Fri", origin=Origin.SCHOOL)}
)
MONDAY = date(2026, 9, 14)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
START = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
MIDNIGHT = datetime(2026, 9, 14, tzinfo=OSLO)


def local(on: date, at: time) -> datetime:
    return datetime.combine(on, at, OSLO)


def latest(starts_at: datetime, *, may_any_time: bool = False, longest: timedelta = 2 * HOUR) -> datetime | None:
    found = limits(starts_at, calendar=CALENDAR, longest=longest, may_any_time=may_any_time)
    return found.latest if found is not None else None


def test_a_lesson_lasts_no_longer_than_the_schools_longest_and_not_past_its_day() -> None:
    assert latest(local(MONDAY, time(9, 0))) == local(MONDAY, time(11, 0))
    assert latest(local(MONDAY, time(13, 30))) == local(MONDAY, time(14, 30))


def test_a_lesson_begins_in_school_hours_or_shortly_before() -> None:
    assert latest(local(MONDAY, time(8, 15)) - EARLY) is not None
    assert latest(local(MONDAY, time(8, 15)) - EARLY - MINUTE) is None
    assert latest(local(MONDAY, time(14, 29))) == local(MONDAY, time(14, 30))
    assert latest(local(MONDAY, time(14, 30))) is None
    assert latest(local(date(2026, 9, 15), time(9, 0))) is None, "a planning day"
    assert latest(local(date(2026, 9, 12), time(9, 0))) is None, "a Saturday"


def test_who_may_teach_at_any_time_is_bound_by_the_length_alone() -> None:
    at = local(date(2026, 9, 12), time(22, 0))
    assert latest(at, may_any_time=True, longest=HOUR) == at + HOUR


@pytest.mark.parametrize(("month", "day", "offset"), [(10, 23, 2), (10, 26, 1), (3, 27, 1), (3, 30, 2)])
def test_the_days_end_is_local_on_both_sides_of_a_change_of_the_clocks(month: int, day: int, offset: int) -> None:
    on = date(2026, month, day)
    end = limits(local(on, time(13, 0)), calendar=CALENDAR, longest=8 * HOUR, may_any_time=False)
    assert end is not None
    assert (end.latest, end.because) == (datetime(2026, month, day, 14 - offset, 30, tzinfo=UTC), "school-day")


def part(
    polled_at: datetime | None, *, is_at_school: bool | None = None, is_absent: bool = False, takes_unseen: bool = False
) -> Part:
    return part_of(
        Presence(polled_at, is_at_school),
        is_absent=is_absent, takes_unseen=takes_unseen, lesson_starts_at=START, day_began_at=MIDNIGHT,
    )  # fmt: skip


def test_who_is_in_where_the_schools_networks_are_known() -> None:
    assert part(START - HOUR, is_at_school=True) is Part.IN
    assert part(START - HOUR, is_at_school=False) is Part.ELSEWHERE
    assert part(START - HOUR, is_at_school=False, takes_unseen=True) is Part.ELSEWHERE, "nobody at home is touched"
    assert part(START - timedelta(days=1), is_at_school=False) is Part.UNSEEN
    assert part(START - timedelta(days=1), is_at_school=True) is Part.UNSEEN
    assert part(START + HOUR, is_at_school=True) is Part.IN, "a latecomer"
    assert part(START, is_at_school=True, is_absent=True) is Part.ABSENT


def test_who_is_in_where_nobody_has_told_the_networks() -> None:
    assert part(None) is Part.UNSEEN
    assert part(None, takes_unseen=True) is Part.IN
    assert part(START - timedelta(days=1)) is Part.UNSEEN
    assert part(START - HOUR) is Part.IN
    assert part(START + LATE) is Part.IN
    assert part(START + LATE + MINUTE) is Part.UNSEEN, "may be ill at home: the teacher says"
    assert part(START + LATE + MINUTE, takes_unseen=True) is Part.IN


def claim(number: int, start: int, end: int, *, favoured: bool = False, lesson_start: int | None = None) -> Claim:
    begun = START + timedelta(minutes=start if lesson_start is None else lesson_start)
    return Claim(number, favoured, begun, START + start * MINUTE, START + end * MINUTE)


def test_of_two_alike_the_later_start_has_the_pupil_and_the_earlier_gives_way() -> None:
    found = settle(claim(2, 20, 60), [claim(1, 0, 45)])
    assert (found.is_granted, found.yields, found.taken_by) == (True, (1,), None)


def test_the_timetables_lesson_keeps_the_pupil_from_a_later_one_it_does_not_have() -> None:
    found = settle(claim(2, 20, 60), [claim(1, 0, 45, favoured=True)])
    assert (found.is_granted, found.yields, found.taken_by) == (False, (), 1)


def test_a_lesson_lasts_until_one_that_goes_before_it_begins() -> None:
    found = settle(claim(1, 0, 60), [claim(2, 45, 90, favoured=True)])
    assert found.is_granted
    assert (found.ends_at, found.taken_by, found.yields) == (START + 45 * MINUTE, 2, ())


def test_a_latecomer_to_the_earlier_lesson_stays_in_the_later_one() -> None:
    found = settle(claim(1, 40, 60, lesson_start=0), [claim(2, 20, 80)])
    assert (found.is_granted, found.taken_by) == (False, 2)


def test_a_hand_over_goes_before_the_timetable() -> None:
    found = settle(claim(2, 20, 60), [claim(1, 0, 45, favoured=True)], by_hand=True)
    assert (found.is_granted, found.yields) == (True, (1,))


CLAIMS = st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60), st.booleans()), max_size=5)


@given(CLAIMS, st.integers(0, 100), st.integers(1, 60), st.booleans(), st.booleans())
def test_what_is_granted_never_overlaps_what_stays(
    told: list[tuple[int, int, bool]],
    start: int,
    length: int,
    favoured: bool,
    by_hand: bool,
) -> None:
    others: list[Claim] = []
    at = 0
    for number, (gap, long, is_favoured) in enumerate(told, start=1):
        others.append(claim(number, at + gap, at + gap + long, favoured=is_favoured))
        at += gap + long
    found = settle(claim(99, start, start + length, favoured=favoured), others, by_hand=by_hand)
    staying = [one for one in others if one.lesson_id not in found.yields]
    assert found.starts_at == START + start * MINUTE
    assert found.ends_at <= START + (start + length) * MINUTE
    if found.is_granted:
        assert all(one.ends_at <= found.starts_at or one.starts_at >= found.ends_at for one in staying)
    else:
        assert found.taken_by in {one.lesson_id for one in staying}
    assert not by_hand or found.ends_at == START + (start + length) * MINUTE
