"""Who asked, when, and from where: written for many at once, seldom, and told where somebody comes, goes or is back."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.checkins import presence
from fleet.checkins.presence import Poll, is_worth_writing
from fleet.db import db, reading, transaction
from fleet.devices.models import DevicePresence
from fleet.schools import networks
from fleet.schools.models import School
from tests import factories as make
from tests.conftest import NOW
from tests.followers import follows
from tests.races import together

OSLO = ZoneInfo("Europe/Oslo")
SECOND = timedelta(seconds=1)
INSIDE, OUTSIDE = "10.20.3.4", "198.51.100.9"


def poll(device_id: int, at: datetime = NOW, *, due_s: int = 60, waits: bool = False, address: str = INSIDE) -> Poll:
    return Poll(device_id, at, at + due_s * SECOND, waits, address)


def note(*polls: Poll, ranges_of: Mapping[int, networks.Ranges] | None = None) -> None:
    now = max(one.polled_at for one in polls)
    with transaction():
        known = presence.ranges() if ranges_of is None else ranges_of
        presence.note(polls, ranges_of=known, timezone=OSLO, now=now)


def rows() -> dict[int, DevicePresence]:
    db.session.expire_all()
    return {row.device_id: row for row in db.session.scalars(select(DevicePresence))}


@pytest.fixture
def told(app: Flask) -> Iterator[list[set[int]]]:
    """Return which tablets those who follow presence hear of."""
    heard: list[set[int]] = []
    with follows("presence", lambda ids, _now: heard.append(set(ids))):
        yield heard


@pytest.fixture
def tablets(app: Flask) -> list[int]:
    with transaction():
        at, elsewhere = make.school(), make.school("Skolen uten nett")
        at.networks = ["10.20.0.0/16", "2001:db8::/32"]
        return [one.id for one in make.tablets(at, 3) + make.tablets(elsewhere, 1)]


def test_a_poll_becomes_a_row_that_says_whether_it_came_from_school(tablets: list[int]) -> None:
    one, other, third, without = tablets
    note(
        poll(one, due_s=90, waits=True), poll(other, address=OUTSIDE), poll(third, address="::ffff:10.20.9.9"),
        poll(without),
    )  # fmt: skip
    found = rows()
    assert (found[one].polled_at, found[one].due_at, found[one].waits) == (NOW, NOW + 90 * SECOND, True)
    assert [found[device_id].is_at_school for device_id in tablets] == [True, False, True, None]
    assert found[other].waits is False


def test_an_address_is_not_shown_where_a_poll_is(tablets: list[int]) -> None:
    assert INSIDE not in repr(poll(tablets[0]))


def test_a_poll_without_an_address_and_one_of_an_unknown_tablet_do_no_harm(tablets: list[int]) -> None:
    note(Poll(tablets[0], NOW, NOW, waits=False), poll(999_999))
    assert {device_id: row.is_at_school for device_id, row in rows().items()} == {tablets[0]: None}
    note(poll(999_999))
    assert rows().keys() == {tablets[0]}


def test_the_newest_poll_holds_whichever_is_written_last(tablets: list[int]) -> None:
    note(poll(tablets[0], NOW + 5 * SECOND, waits=True))
    note(poll(tablets[0], NOW + 3 * SECOND))
    assert rows()[tablets[0]].waits is True
    note(poll(tablets[0], NOW + 6 * SECOND))
    assert rows()[tablets[0]].waits is False


def test_a_server_whose_clock_is_ahead_hides_no_later_move_from_the_others(tablets: list[int]) -> None:
    note(poll(tablets[0], NOW + 300 * SECOND))
    note(poll(tablets[0], NOW + 2 * SECOND, address=OUTSIDE))
    assert rows()[tablets[0]].is_at_school is False


def test_who_follows_hears_of_the_new_the_late_the_moved_and_those_of_another_day(
    tablets: list[int], told: list[set[int]]
) -> None:
    one, other, *_ = tablets
    note(poll(one), poll(other))
    assert told == [{one, other}]
    steps = [
        (poll(one, NOW + 50 * SECOND), False),
        (poll(one, NOW + 170 * SECOND), False),  # due at 110, and a minute is no absence
        (poll(one, NOW + 291 * SECOND), True),  # due at 230: more than a minute late
        (poll(one, NOW + 300 * SECOND, address=OUTSIDE), True),
        (poll(one, NOW + 310 * SECOND, address="203.0.113.1"), False),  # elsewhere, as before
        (poll(one, NOW + 320 * SECOND, address=INSIDE, due_s=14 * 3600), True),
        (poll(one, datetime.fromisoformat("2026-09-14T21:59:59+00:00"), due_s=60), False),
        (poll(one, datetime.fromisoformat("2026-09-14T22:00:01+00:00")), True),  # midnight in Oslo
    ]
    for step, is_told in steps:
        told.clear()
        note(step)
        assert told == ([{one}] if is_told else []), step


def test_a_tablet_is_heard_of_again_when_its_school_tells_its_networks(
    tablets: list[int], told: list[set[int]]
) -> None:
    without = tablets[3]
    note(poll(without))
    told.clear()
    with transaction():
        db.session.scalars(select(School).where(School.networks.is_(None))).one().networks = ["10.20.0.0/16"]
    note(poll(without, NOW + SECOND))
    assert (told, rows()[without].is_at_school) == ([{without}], True)


def test_writing_takes_as_many_statements_for_1_as_for_200(app: Flask, statements: list[str]) -> None:
    with transaction():
        ids = [one.id for one in make.tablets(make.school(), 200)]
    counts = []
    for chosen in (ids[:1], ids):
        statements.clear()
        note(*(poll(one) for one in chosen), ranges_of={})
        counts.append(len([one for one in statements if "device_presence" in one]))
    assert counts == [2, 2]


def test_two_servers_that_write_the_same_tablets_in_any_order_do_not_give_each_other_up(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        ids = [one.id for one in make.tablets(make.school(), 300)]

    def write(order: int) -> None:
        presence.note([poll(one, NOW + order * SECOND) for one in ids[::order]], ranges_of={}, timezone=OSLO, now=NOW)

    for _ in range(5):
        assert together(own_app, [lambda: write(1), lambda: write(-1), lambda: write(2)]) == [None] * 3
    with own_app.app_context(), reading():
        assert len(rows()) == 300


# -- what is worth a row -----------------------------------------------------------------------------------------------

WRITTEN = poll(1, NOW, due_s=50)


@pytest.mark.parametrize(
    ("later", "now_s", "is_worth"),
    [
        (poll(1, NOW + 30 * SECOND), 32, False),
        (poll(1, NOW + 30 * SECOND), 50, False),
        (poll(1, NOW + 30 * SECOND), 51, True),  # the row says that it should have asked
        (poll(1, NOW + 30 * SECOND, waits=True), 32, True),
        (poll(1, NOW + 30 * SECOND, address=OUTSIDE), 32, True),
    ],
)
def test_a_row_is_written_when_it_has_become_wrong(later: Poll, now_s: int, *, is_worth: bool) -> None:
    assert is_worth_writing(later, WRITTEN, NOW + now_s * SECOND) is is_worth


def test_a_row_is_written_once_a_minute_and_where_there_is_none() -> None:
    held = poll(1, NOW, due_s=600)
    later = poll(1, NOW + 40 * SECOND)
    assert is_worth_writing(held, None, NOW)
    assert not is_worth_writing(later, held, NOW + 60 * SECOND)
    assert is_worth_writing(later, held, NOW + 61 * SECOND)


def test_a_row_is_written_where_the_clock_was_set_back() -> None:
    held = poll(1, NOW, due_s=600)
    earlier = poll(1, NOW - 7200 * SECOND)
    assert is_worth_writing(earlier, held, NOW - 7200 * SECOND)
