"""Slots: the same for all servers, whatever the hour they wake, the clocks' changes in spring and autumn included."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.jobs.when import Daily, Every, When

OSLO = ZoneInfo("Europe/Oslo")
RULES = st.one_of(st.builds(Every, st.integers(1, 1440)), st.builds(Daily, st.times()))
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (given a zone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=OSLO)


@pytest.mark.parametrize(
    ("when", "now", "latest", "following"),
    [
        (Every(1), "2026-09-14T08:15:59", "2026-09-14T08:15", "2026-09-14T08:16"),
        (Every(1), "2026-09-14T08:15:00", "2026-09-14T08:15", "2026-09-14T08:16"),
        (Every(15), "2026-09-14T08:14:59", "2026-09-14T08:00", "2026-09-14T08:15"),
        (Daily(time(3, 30)), "2026-09-14T03:29:59", "2026-09-13T03:30", "2026-09-14T03:30"),
        (Daily(time(3, 30)), "2026-09-14T03:30:00", "2026-09-14T03:30", "2026-09-15T03:30"),
        # 25 October 2026: the clocks show 02:00 to 03:00 twice; the first counts.
        (Daily(time(2, 30)), "2026-10-25T12:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30"),
        # 29 March 2026: no 02:30; an hour later than the day before by UTC is 03:30.
        (Daily(time(2, 30)), "2026-03-29T12:00", "2026-03-29T03:30", "2026-03-30T02:30"),
    ],
)
def test_the_slot_before_and_after_an_instant(when: When, now: str, latest: str, following: str) -> None:
    def instant(text: str) -> datetime:
        told = datetime.fromisoformat(text)
        return told.astimezone(UTC) if told.tzinfo is not None else at(text)

    assert when.latest(at(now), OSLO) == instant(latest)
    assert when.following(at(now), OSLO) == instant(following)


@given(when=RULES, now=INSTANTS)
def test_slots_follow_each_other_without_one_between(when: When, now: datetime) -> None:
    latest, following = when.latest(now, OSLO), when.following(now, OSLO)
    assert latest <= now < following
    assert when.latest(following - timedelta(microseconds=1), OSLO) == latest
    assert when.latest(following, OSLO) == following
    assert latest.tzinfo is UTC


def test_a_rule_says_itself() -> None:
    assert [str(rule) for rule in (Every(1), Every(15), Daily(time(3, 5)))] == [
        "every minute", "every 15 minutes", "daily at 03:05",
    ]  # fmt: skip
