"""Two lessons that want one tablet, where the second is still to come: who has it when, and what both teachers see."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from fleet.access import Principal
from fleet.db import changed, db, run_followers, transaction
from fleet.errors import NotFoundError
from fleet.lessons import finding, life, ordering, plans, sets, tablets, timetable, views
from fleet.lessons.models import Lesson, Part, SetKind
from fleet.lessons.views import State
from fleet.orders import OrderKind, Wish
from fleet.schools.models import ClassKind, Membership
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, OSLO, UNTIL, Room, hosts, obeyed, part, seen, stretches

CLI = Principal.command_line()
BELL = NOW + 15 * MINUTE  # when the planned lesson begins


@pytest.fixture
def room(app: Flask) -> Iterator[Room]:
    with transaction():
        yield lessons.room()


def coming(room: Room) -> Lesson:
    """Have a teaching group of the class's first pupil planned for the bell, and its lesson made ahead."""
    maths = make.school_class(room.school, "MAT 8B", ClassKind.TEACHING)
    pupil = room.devices[0].person
    assert pupil is not None
    make.membership(pupil, maths)
    teacher = lessons.teacher_of(maths)
    given = sets.quick(SetKind.WEB, school_class=maths, hosts=["*.udir.no"], by=teacher, now=NOW)
    local = BELL.astimezone(OSLO)
    plans.plan(
        maths, given, on=local.date(), starts_at=local.time(), ends_at=(local + timedelta(minutes=20)).time(),
        holder_id=None, by=CLI, now=NOW, timezone=OSLO,
    )  # fmt: skip
    assert timetable.begin_due(now=NOW, timezone=OSLO) == 1
    found = finding.of_class(maths.id, by=CLI, now=BELL)
    assert found is not None
    return found


def row(lesson: Lesson, room: Room, at: datetime) -> views.Row:
    """Return how the shared tablet stands in a lesson at an instant."""
    found = views.view(lesson.id, by=CLI, now=at).rows
    return next(one for one in found if one.device_id == room.ids[0])


@pytest.mark.parametrize("first", ["lesson", "plan"])
def test_until_the_planned_lesson_begins_the_tablet_is_in_the_one_that_runs(room: Room, first: str) -> None:
    if first == "lesson":
        running = room.start()
        planned = coming(room)
    else:
        planned = coming(room)
        running = room.start()
    assert stretches(room.devices[0]) == [(NOW, BELL), (BELL, BELL + 20 * MINUTE)]
    before, after = row(running, room, NOW), row(running, room, BELL)
    assert (before.state, after.state) == (State.WAITING, State.TAKEN)
    assert before.other is not None, "the teacher sees that it will go"
    assert before.other.lesson_id == planned.id == (after.other.lesson_id if after.other else None)
    assert views.counts([running.id], now=NOW)[running.id] == (3, 0)
    assert views.counts([running.id], now=BELL)[running.id] == (2, 0)
    found = [finding.of_tablet(room.ids[0], by=CLI, now=at) for at in (NOW, BELL)]
    assert [one.id for one in found if one] == [running.id, planned.id]


def test_what_the_teacher_does_before_that_still_reaches_the_tablet(room: Room) -> None:
    running, one = room.start(), room.devices[0]
    coming(room)
    at = NOW + MINUTE
    eyes = sets.quick(SetKind.EYES, school_class=room.of, by=room.teacher, now=at)
    life.change_set(running.id, eyes, by=room.teacher, now=at, timezone=OSLO)
    assert (hosts(one.id, at), hosts(one.id, BELL)) == ([], ["*.udir.no"])
    life.extend(running.id, until=UNTIL + 5 * MINUTE, by=room.teacher, now=at, timezone=OSLO)
    assert (hosts(one.id, at), hosts(one.id, BELL)) == ([], ["*.udir.no"])
    assert part(running, one) is Part.TAKEN
    tablets.leave_out(running.id, [one.id], Part.ABSENT, by=room.teacher, now=at + MINUTE)
    assert hosts(one.id, at + MINUTE) is None
    assert row(running, room, BELL).state is State.ABSENT


def test_a_tablet_that_leaves_the_network_before_that_leaves_the_lesson(room: Room) -> None:
    running, one = room.start(), room.devices[0]
    coming(room)
    seen([one.id], at=NOW + MINUTE, now=NOW + MINUTE, is_at_school=False)
    assert part(running, one) is Part.ELSEWHERE
    assert hosts(one.id, NOW + MINUTE) is None


def test_a_lesson_that_ends_before_that_frees_the_tablet_at_once(room: Room) -> None:
    running, one, at = room.start(), room.devices[0], NOW + 5 * MINUTE
    coming(room)
    obeyed(room.ids, now=NOW)
    life.end(running.id, by=room.teacher, now=at)
    obeyed([one.id], now=at + MINUTE)
    assert (row(running, room, at + MINUTE).state, row(running, room, at + MINUTE).since) == (State.BACK, at + MINUTE)


def test_a_tablet_that_arrives_before_that_has_arrived_and_is_back_after_it(room: Room) -> None:
    running, one = room.start(), room.devices[0]
    coming(room)
    obeyed([one.id], now=NOW + MINUTE)
    assert row(running, room, NOW + MINUTE).state is State.APPLIED
    obeyed([one.id], now=BELL + MINUTE)
    assert row(running, room, UNTIL).state is State.BACK


def test_extending_into_a_planned_lesson_tells_that_it_will_have_the_tablet(room: Room) -> None:
    running = room.start(until=NOW + 10 * MINUTE)
    planned = coming(room)
    assert part(running, room.devices[0]) is Part.IN
    life.extend(running.id, until=UNTIL, by=room.teacher, now=NOW + MINUTE, timezone=OSLO)
    assert stretches(room.devices[0], since=NOW + MINUTE)[0] == (NOW + MINUTE, BELL)
    taken = row(running, room, BELL)
    assert (taken.state, taken.other.lesson_id if taken.other else None) == (State.TAKEN, planned.id)


def test_a_teacher_orders_nothing_of_a_tablet_once_another_lesson_has_it(room: Room) -> None:
    for one in room.devices:
        make.enrolment(one)
    running = room.start()
    coming(room)
    wish = Wish(OrderKind.RING)
    assert len(ordering.order(running.id, wish, by=room.teacher, now=NOW)) == 3
    with pytest.raises(NotFoundError):
        ordering.order(running.id, wish, device_ids=room.ids[:1], by=room.teacher, now=BELL)


@pytest.mark.parametrize("first", ["old", "new"])
def test_a_pupil_who_changes_class_in_mid_lesson_changes_lesson(room: Room, first: str) -> None:
    """Whichever lesson began first: the one that the tablet leaves has no say any more."""
    to = make.school_class(room.school, "8C")
    set_id = room.given
    mover = room.devices[0]
    make.device(room.school, class_id=to.id)
    if first == "old":
        old = room.start()
        new = life.start(to, set_id, until=UNTIL, by=lessons.teacher_of(to), now=NOW + MINUTE, timezone=OSLO)
    else:
        new = life.start(to, set_id, until=UNTIL, by=lessons.teacher_of(to), now=NOW, timezone=OSLO)
        old = room.start(now=NOW + MINUTE)
    assert mover.person is not None
    assert mover.person_id is not None
    left = db.session.scalars(select(Membership).where(Membership.person_id == mover.person_id)).one()
    left.ended_at = NOW + 5 * MINUTE
    make.membership(mover.person, to)
    changed("person", [mover.person_id], now=NOW + 5 * MINUTE)
    run_followers()
    assert (part(old, mover), part(new, mover)) == (Part.GONE, Part.IN)
    assert stretches(mover, since=NOW + 5 * MINUTE) == [(NOW + 5 * MINUTE, UNTIL)]
