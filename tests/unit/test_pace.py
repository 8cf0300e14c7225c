"""When tablets come next: evenly spread, within bounds, rarely out of school hours."""

import random
from datetime import datetime, timedelta

import pytest

from fleet.channels.native.pace import Pace
from tests.conftest import NOW


def pace(poll_s: int = 60, report_s: int = 900, *, busy: bool = True) -> Pace:
    return Pace(poll_s, report_s, lambda _now: busy, lambda _now: busy, random.Random(1))  # noqa: S311 (spreads requests in time)


def test_a_poll_comes_after_half_to_one_and_a_half_intervals() -> None:
    waits = [pace().next_poll_s(device, NOW) for device in range(1, 500)]
    assert 30 <= min(waits) < 35
    assert 85 < max(waits) <= 93  # with up to a twentieth of an interval of chance


def test_a_report_has_its_own_interval() -> None:
    assert 450 <= pace().next_report_s(7, NOW) <= 1395


def test_out_of_school_hours_tablets_come_five_times_as_rarely() -> None:
    waits = [pace(busy=False).next_poll_s(device, NOW) for device in range(1, 200)]
    assert 150 <= min(waits) <= max(waits) <= 465


def test_a_school_that_wakes_at_once_comes_evenly_next_time() -> None:
    arrivals = [0] * 6
    for device in range(1, 601):
        arrivals[(pace(poll_s=60).next_poll_s(device, NOW) + int(NOW.timestamp())) % 60 // 10] += 1
    assert max(arrivals) - min(arrivals) < 40  # 100 each, in sixths of the interval


def test_a_tablet_keeps_its_slot() -> None:
    steady = pace(poll_s=600)
    now, slots = NOW, []
    for _ in range(5):
        now += timedelta(seconds=steady.next_poll_s(42, now))
        slots.append(now.timestamp())
    # An interval apart, and none drifts: each is within the twentieth of chance, and a second of rounding.
    assert all(abs((slot - slots[0] + 300) % 600 - 300) <= 31 for slot in slots)


@pytest.mark.parametrize("poll_s", [1, 2, 60, 86_400])
def test_the_shortest_wait_is_a_second(poll_s: int) -> None:
    assert all(pace(poll_s=poll_s).next_poll_s(device, NOW) >= 1 for device in range(50))


def test_who_is_turned_away_is_spread_wide() -> None:
    steady = pace()
    waits = {steady.retry_s() for _ in range(1_000)}
    assert min(waits) >= 2
    assert max(waits) <= 62
    assert len(waits) > 50


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("switch_at", [NOW + 2 * HOUR, NOW, NOW - HOUR])
def test_around_a_change_of_its_schedule_a_tablet_comes_four_times_as_often(switch_at: datetime) -> None:
    for busy, lowest, highest in ((True, 7, 24), (False, 37, 117)):
        waits = [pace(busy=busy).next_poll_s(device, NOW, switch_at=switch_at) for device in range(1, 500)]
        assert lowest <= min(waits) <= max(waits) <= highest


@pytest.mark.parametrize("switch_at", [None, NOW + 2.1 * HOUR, NOW - 3 * HOUR])
def test_far_from_a_change_it_comes_as_ever(switch_at: datetime | None) -> None:
    assert pace().next_poll_s(7, NOW, switch_at=switch_at) == pace().next_poll_s(7, NOW)


def test_around_a_change_five_seconds_are_often_enough_and_never_more_rarely_than_as_ever() -> None:
    near = [pace(poll_s=8).next_poll_s(device, NOW, switch_at=NOW) for device in range(200)]
    assert (min(near), max(near)) == (3, 8)  # half to one and a half of five seconds, and jitter
    assert max(pace(poll_s=2).next_poll_s(device, NOW, switch_at=NOW) for device in range(200)) <= 3


@pytest.mark.parametrize(
    ("busy", "switch_at", "holds"),
    [(True, None, True), (False, None, False), (False, NOW + HOUR, True), (False, NOW + 9 * HOUR, False)],
)
def test_tablets_are_held_near_school_hours_and_around_a_change_of_their_own(
    *, busy: bool, switch_at: datetime | None, holds: bool
) -> None:
    assert pace(busy=busy).holds(NOW, switch_at=switch_at) is holds


def test_a_hold_is_no_longer_than_was_asked_for_nor_than_proxies_bear_and_spread() -> None:
    steady = pace()
    asked = {wanted: {steady.hold_s(wanted) for _ in range(500)} for wanted in (1, 10, 50, 10**9)}
    assert asked[1] == {1}
    assert asked[10] == {7, 8, 9, 10}
    assert asked[50] == set(range(35, 51)) == asked[10**9]


def test_who_was_held_by_a_server_that_stops_comes_again_within_ten_seconds_spread() -> None:
    steady = pace()
    assert {steady.stopped_s() for _ in range(500)} == set(range(1, 11))
