"""Android tablets in lessons: how many need a network for the end, who is out of contact, and what their sets lack."""

from collections.abc import Collection
from datetime import datetime

import pytest
from flask import Flask

from fleet.access import Principal
from fleet.db import transaction
from fleet.lessons import promises, sets, sharing, tablets, views
from fleet.lessons.models import Lesson, Part, SetKind
from fleet.lessons.promises import Instead
from fleet.lessons.views import Preview, Row, State, View
from profiles.key import APPLE, HEADWIND, NATIVE
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, OSLO, UNTIL, Room, obeyed, seen

CLI = Principal.command_line()
LATER = NOW + 10 * MINUTE


@pytest.fixture
def room(app: Flask) -> Room:
    """Make a class with two Android tablets and an iPad."""
    with transaction():
        made = lessons.room()
        lessons.on_channel(HEADWIND, *made.devices[:2])
        lessons.on_channel(APPLE, made.devices[2])
    return made


def view(lesson: Lesson, room: Room, now: datetime) -> View:
    return views.view(lesson.id, by=room.teacher, now=now)


def row(found: View, device_id: int) -> Row:
    return next(one for one in found.rows if one.device_id == device_id)


def preview(room: Room, *, absent: Collection[int] = ()) -> Preview:
    return views.preview(room.of, absent=absent, by=room.teacher, now=NOW, timezone=OSLO)


def test_before_the_start_it_is_counted_who_needs_a_network_for_the_end(room: Room) -> None:
    with transaction():
        assert preview(room).needing_network == 2
        first = room.devices[0].person_id
        assert first is not None
        assert preview(room, absent={first}).needing_network == 1
        make.enrolments_end(room.devices[1])
        assert preview(room).needing_network == 1


def test_who_has_the_lesson_and_is_out_of_contact_is_told_since_when(room: Room) -> None:
    android, other, ipad = room.ids
    with transaction():
        lesson = room.start()
        obeyed([android, ipad], now=NOW)
        assert (view(lesson, room, NOW).needing_network, view(lesson, room, NOW).cut_off) == (2, [])
        seen([other], at=LATER, now=LATER)
        found = view(lesson, room, LATER)
        assert (found.needing_network, [one.device_id for one in found.cut_off]) == (2, [android])
        assert row(found, android).away_since == NOW
        assert row(found, ipad).away_since is None  # it ends the lesson by its own clock
        seen([android], at=LATER, now=LATER)
        assert view(lesson, room, LATER).cut_off == []


def test_who_never_got_the_lesson_has_nothing_to_keep(room: Room) -> None:
    with transaction():
        lesson = room.start()
        found = view(lesson, room, LATER)
        assert (found.needing_network, found.cut_off) == (2, [])


def test_in_the_receipt_who_is_out_of_contact_keeps_the_lesson_until_it_is_back(room: Room) -> None:
    android, _other, _ipad = room.ids
    with transaction():
        lesson = room.start()
        obeyed(room.ids, now=NOW)
        over = UNTIL + MINUTE
        seen(room.ids[1:], at=UNTIL, now=UNTIL)
        obeyed(room.ids[1:], now=UNTIL)
        found = view(lesson, room, over)
        assert (found.needing_network, [one.device_id for one in found.cut_off]) == (1, [android])
        assert (row(found, android).state, row(found, android).away_since) == (State.STRAGGLER, NOW)
        seen([android], at=over, now=over)
        assert view(lesson, room, over).cut_off == []  # in contact: it is about to
        obeyed([android], now=over)
        assert (view(lesson, room, over).needing_network, view(lesson, room, over).cut_off) == (0, [])


def test_who_is_let_go_or_has_no_channel_any_more_is_not_counted(room: Room) -> None:
    with transaction():
        lesson = room.start()
        obeyed(room.ids, now=NOW)
        tablets.leave_out(lesson.id, room.ids[:1], Part.RELEASED, by=room.teacher, now=NOW)
        make.enrolments_end(room.devices[1])
        found = view(lesson, room, LATER)
        assert (found.needing_network, found.cut_off) == (0, [])


def test_what_sets_give_is_read_at_once_and_says_who_has_less(room: Room, statements: list[str]) -> None:
    with transaction():
        version = make.published("spill", **{"sound.locked": True})
        make.next_version(version, **{"sound.locked": True, "camera.allowed": False})
        version.profile.title = "Spill"
        profile = sharing.share(
            school=None, title="Spill", kind=SetKind.PROFILE, profile=version.profile, by=CLI, now=NOW
        )
        locked = sets.quick(SetKind.APPS, school_class=room.of, apps=["no.a"], locked=True, by=room.teacher, now=NOW)
        offered = [one.set for one in sets.offered(room.of, by=room.teacher, now=NOW)]
        statements.clear()
        found = sets.settings_of(offered)
        assert len(statements) == 1
        assert found[profile.id] == {"sound.locked": True, "camera.allowed": False}
        assert found[room.given.id] == {"web.allowed": ["*.nb.no"]}
        channels = preview(room).channels
        assert sorted(channels) == [APPLE, HEADWIND, HEADWIND]
        assert [(one.channel, one.count, one.missing) for one in promises.shortfalls(found[profile.id], channels)] == [
            (APPLE, 1, ["sound.locked"])
        ]
        (less,) = promises.shortfalls(found[locked.id], channels)
        assert (less.channel, less.count, less.instead["kiosk.app"]) == (HEADWIND, 2, Instead.HIDES_OTHERS)


def test_a_view_costs_as_many_statements_with_android_tablets_as_without(room: Room, statements: list[str]) -> None:
    with transaction():
        lesson = room.start()
        counts = []
        for channel in (NATIVE, HEADWIND):
            lessons.on_channel(channel, *room.devices)
            statements.clear()
            view(lesson, room, LATER), preview(room)
            counts.append(len(statements))
        assert counts[0] == counts[1]
