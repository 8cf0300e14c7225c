"""Assignments in time become a schedule: no gaps, exact boundaries, and at each instant what layering says."""

import itertools
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from fleet.assignments import timeline
from fleet.assignments.schedules import ahead, entry_at
from fleet.assignments.timeline import Segment, Timed, body_of, entries, segments
from profiles import digest
from profiles.layering import Layer, Level
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)
CAMERA: dict[str, Any] = {"camera.allowed": False}
BLUETOOTH: dict[str, Any] = {"bluetooth.allowed": False}


def timed(
    settings: dict[str, Any], starts_at: datetime | None = None, ends_at: datetime | None = None, name: str = "a"
) -> Timed:
    return Timed(Layer(Level.CLASS, name, starts_at, settings), starts_at, ends_at)


def shape(found: list[Segment]) -> list[tuple[datetime | None, datetime | None, bytes]]:
    return [(one.starts_at, one.ends_at, one.body) for one in found]


def test_nothing_assigned_is_one_open_and_empty_segment() -> None:
    assert shape(segments([], now=NOW)) == [(None, None, b"{}")]


def test_a_layer_begins_at_its_first_instant_and_is_over_at_its_last() -> None:
    begin, end = NOW + MINUTE, NOW + 2 * MINUTE
    found = segments([timed(CAMERA, begin, end)], now=NOW)
    on = b'{"camera.allowed":false}'
    assert shape(found) == [(None, begin, b"{}"), (begin, end, on), (end, None, b"{}")]
    one = timed(CAMERA, begin, end)
    assert [one.applies_at(begin + step) for step in (-MINUTE / 60, 0 * MINUTE)] == [False, True]
    assert [one.applies_at(end + step) for step in (-MINUTE / 60, 0 * MINUTE)] == [True, False]


def test_what_is_over_is_left_out_and_what_ends_this_instant_is_over() -> None:
    assert shape(segments([timed(CAMERA, None, NOW), timed(BLUETOOTH, None, NOW - MINUTE)], now=NOW)) == [
        (None, None, b"{}")
    ]
    assert len(segments([timed(CAMERA, NOW, None)], now=NOW)) == 1


def test_neighbours_that_say_the_same_become_one() -> None:
    middle = NOW + MINUTE
    found = segments([timed(CAMERA, None, middle), timed(CAMERA, middle, None, "b")], now=NOW)
    assert shape(found) == [(None, None, b'{"camera.allowed":false}')]


def test_the_stored_form_is_utc_whatever_zone_was_given() -> None:
    oslo = ZoneInfo("Europe/Oslo")
    found = entries(segments([timed(CAMERA, None, datetime(2026, 9, 14, 12, tzinfo=oslo))], now=NOW))
    assert [(one["from"], one["until"], one["length"]) for one in found] == [
        (None, "2026-09-14T10:00:00+00:00", 24),
        ("2026-09-14T10:00:00+00:00", None, 2),
    ]


_MOMENTS = st.none() | st.integers(-4, 8).map(lambda minutes: NOW + minutes * MINUTE)
_SETTINGS = st.dictionaries(
    st.sampled_from(["camera.allowed", "bluetooth.allowed", "usb.storage_allowed"]), st.booleans(), max_size=2
)


@st.composite
def plans(draw: st.DrawFn) -> list[Timed]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        starts_at, ends_at = draw(_MOMENTS), draw(_MOMENTS)
        if starts_at is not None and ends_at is not None and ends_at <= starts_at:
            ends_at = starts_at + MINUTE
        layer = Layer(draw(st.sampled_from(list(Level))), f"lag {number}", starts_at, draw(_SETTINGS))
        found.append(Timed(layer, starts_at, ends_at))
    return found


@given(plans(), st.permutations(range(-2, 12)))
def test_segments_cover_all_time_without_gaps_and_match_layering_at_every_instant(
    given_plan: list[Timed], minutes: list[int]
) -> None:
    found = segments(given_plan, now=NOW)
    assert (found[0].starts_at, found[-1].ends_at) == (None, None)
    for before, after in itertools.pairwise(found):
        assert before.ends_at == after.starts_at
        assert before.ends_at is not None
        assert before.digest != after.digest
    stored = entries(found)
    for minute in minutes:
        instant = NOW + max(minute, 0) * MINUTE
        for at in (instant, instant + MINUTE / 2, instant + MINUTE - timedelta(microseconds=1)):
            expected = digest.digest_of(body_of([one.layer for one in given_plan if one.applies_at(at)]))
            assert entry_at(stored, at)["profile"] == expected
            assert entry_at(ahead(stored, instant, at_most=len(stored)), at)["profile"] == expected
    assert segments(list(reversed(given_plan)), now=NOW) == found


def test_a_schedule_keeps_its_digest_when_only_the_order_of_assignments_differs() -> None:
    one, other = timed(CAMERA, None, NOW + MINUTE), timed(BLUETOOTH, NOW + MINUTE, None, "b")
    first, second = (timeline.entries(segments(plan, now=NOW)) for plan in ([one, other], [other, one]))
    assert digest.digest(first) == digest.digest(second)
