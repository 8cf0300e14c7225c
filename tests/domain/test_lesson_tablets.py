"""Who is in a lesson: absent, late, at home, in another lesson, handed over, with a borrowed tablet."""

import itertools
from datetime import datetime, timedelta

import pytest
from flask import Flask

from fleet import orders
from fleet.access import Grant, Principal, Role
from fleet.assignments.assigning import Place
from fleet.db import changed, db, run_followers, transaction
from fleet.devices import life as devices
from fleet.devices.models import DeviceLife, DeviceState
from fleet.errors import ForbiddenError, NotFoundError
from fleet.lessons import life, occupied, ordering, sets, tablets, views
from fleet.lessons.life import LessonOverError
from fleet.lessons.models import Lesson, Part, SetKind
from fleet.orders import OrderKind, Wish
from fleet.schools.models import ClassKind, SchoolClass
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, OSLO, UNTIL, Room, hosts, obeyed, part, seen, stretches

CLI = Principal.command_line()
YESTERDAY = NOW - timedelta(days=1)
AT_SCHOOL = ["10.20.0.0/16"]


def group(room: Room, title: str = "MAT 8B", *, count: int = 2) -> tuple[SchoolClass, Principal]:
    """Make a teaching group of the class's first pupils, and its teacher."""
    made = make.school_class(room.school, title, ClassKind.TEACHING)
    for one in room.devices[:count]:
        assert one.person is not None
        make.membership(one.person, made)
    return made, lessons.teacher_of(made)


def begin(of: SchoolClass, by: Principal, address: str, *, now: datetime, until: datetime = UNTIL) -> Lesson:
    given = sets.quick(SetKind.WEB, school_class=of, hosts=[address], by=by, now=NOW)
    return life.start(of, given, until=until, by=by, now=now, timezone=OSLO)


# -- present, late, at home ----------------------------------------------------------------------------------------


def test_who_is_ticked_absent_is_not_touched(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        away = room.devices[0]
        lesson = room.start(absent=[away.person_id])
        assert [part(lesson, one) for one in room.devices] == [Part.ABSENT, Part.IN, Part.IN]
        assert stretches(away) == []
        seen([away.id], at=NOW + MINUTE, now=NOW + MINUTE)
        assert part(lesson, away) is Part.ABSENT, "the teacher's word stays"


def test_a_tablet_not_heard_from_today_is_left_out_unless_the_teacher_says_that_all_are_here(app: Flask) -> None:
    with transaction():
        room = lessons.room(seen_at=YESTERDAY)
        lesson = room.start()
        assert {part(lesson, one) for one in room.devices} == {Part.UNSEEN}
        assert [stretches(one) for one in room.devices] == [[], [], []]
        life.end(lesson.id, by=room.teacher, now=NOW)
        everybody = room.start(takes_unseen=True)
        assert {part(everybody, one) for one in room.devices} == {Part.IN}


def test_a_latecomer_gets_what_is_left_of_the_lesson(app: Flask) -> None:
    late = NOW + 20 * MINUTE
    with transaction():
        room = lessons.room(seen_at=YESTERDAY)
        room.school.networks = AT_SCHOOL
        lesson = room.start()
        comes = room.devices[0]
        seen([comes.id], at=late, now=late, is_at_school=True)
        assert part(lesson, comes) is Part.IN
        assert stretches(comes) == [(late, UNTIL)]
        assert hosts(comes.id, late) == ["*.nb.no"]


def test_without_the_schools_networks_a_tablet_that_wakes_in_mid_lesson_waits_for_the_teachers_word(app: Flask) -> None:
    late = NOW + 20 * MINUTE
    with transaction():
        room = lessons.room(seen_at=YESTERDAY)
        lesson = room.start()
        soon, later = room.devices[:2]
        seen([soon.id], at=NOW + MINUTE, now=NOW + MINUTE)
        seen([later.id], at=late, now=late)
        assert (part(lesson, soon), part(lesson, later)) == (Part.IN, Part.UNSEEN)
        tablets.bring_in(lesson.id, [later.id], by=room.teacher, now=late, timezone=OSLO)
        assert stretches(later) == [(late, UNTIL)]


def test_a_tablet_outside_the_schools_networks_is_not_touched_whatever_the_teacher_says_of_all(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        home = room.devices[0]
        seen([home.id], at=NOW, now=NOW, is_at_school=False)
        lesson = room.start(takes_unseen=True)
        assert part(lesson, home) is Part.ELSEWHERE
        assert stretches(home) == []


def test_a_tablet_that_leaves_the_network_leaves_the_lesson_and_comes_back_with_it(app: Flask) -> None:
    out, back = NOW + 10 * MINUTE, NOW + 15 * MINUTE
    with transaction():
        room = lessons.room()
        goes = room.devices[0]
        seen(room.ids, at=NOW, now=NOW, is_at_school=True)
        lesson = room.start()
        seen([goes.id], at=out, now=out, is_at_school=False)
        assert part(lesson, goes) is Part.ELSEWHERE
        assert hosts(goes.id, out) is None
        seen([goes.id], at=back, now=back, is_at_school=True)
        assert part(lesson, goes) is Part.IN
        assert hosts(goes.id, back) == ["*.nb.no"]


def test_a_tablet_that_was_off_all_lesson_gets_nothing(app: Flask) -> None:
    with transaction():
        room = lessons.room(seen_at=YESTERDAY)
        lesson = room.start()
        seen(room.ids, at=UNTIL + MINUTE, now=UNTIL + MINUTE, is_at_school=True)
        assert {part(lesson, one) for one in room.devices} == {Part.UNSEEN}
        assert [stretches(one) for one in room.devices] == [[], [], []]


# -- one pupil in the lesson ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", [Part.ABSENT, Part.RELEASED])
def test_a_tablet_is_left_out_and_brought_in_again(app: Flask, why: Part) -> None:
    with transaction():
        room = lessons.room()
        lesson, one = room.start(), room.devices[0]
        tablets.leave_out(lesson.id, [one.id], why, by=room.teacher, now=NOW + MINUTE)
        assert (part(lesson, one), hosts(one.id, NOW + MINUTE)) == (why, None)
        assert hosts(room.ids[1], NOW + MINUTE) == ["*.nb.no"]
        tablets.bring_in(lesson.id, [one.id], by=room.teacher, now=NOW + 2 * MINUTE, timezone=OSLO)
        assert (part(lesson, one), hosts(one.id, NOW + 2 * MINUTE)) == (Part.IN, ["*.nb.no"])


def test_only_tablets_of_the_lesson_and_only_by_its_teacher(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        other = lessons.room("9A", school=room.school, count=1)
        with pytest.raises(NotFoundError):
            tablets.leave_out(lesson.id, other.ids, Part.ABSENT, by=room.teacher, now=NOW)
        with pytest.raises(NotFoundError):
            tablets.leave_out(lesson.id, room.ids, Part.ABSENT, by=other.teacher, now=NOW)
        with pytest.raises(NotFoundError):
            tablets.bring_in(lesson.id, room.ids, by=other.teacher, now=NOW, timezone=OSLO)
        with pytest.raises(LessonOverError):
            tablets.leave_out(lesson.id, room.ids, Part.ABSENT, by=room.teacher, now=UNTIL)


# -- two lessons, one pupil ----------------------------------------------------------------------------------------


def test_the_later_lesson_has_the_pupil_and_the_earlier_teacher_sees_it(app: Flask) -> None:
    later = NOW + 10 * MINUTE
    with transaction():
        room = lessons.room()
        first = room.start()
        maths, teacher = group(room)
        second = begin(maths, teacher, "*.udir.no", now=later, until=NOW + 30 * MINUTE)
        shared, alone = room.devices[0], room.devices[2]
        assert (part(first, shared), part(second, shared)) == (Part.TAKEN, Part.IN)
        assert part(first, alone) is Part.IN
        assert hosts(shared.id, later) == ["*.udir.no"], "one lock, not two on top of each other"
        assert hosts(shared.id, NOW + 31 * MINUTE) is None, "and none is left of the earlier one"
        rows = {row.device_id: row for row in views.view(first.id, by=room.teacher, now=later).rows}
        other = rows[shared.id].other
        assert other is not None
        assert (other.lesson_id, other.class_title) == (second.id, "MAT 8B")
        mine = {row.device_id: row.other for row in views.view(second.id, by=teacher, now=later).rows}
        before = mine[shared.id]
        assert before is not None
        assert (before.lesson_id, before.class_title, before.is_over) == (first.id, "8B", False)


def test_one_tap_hands_a_pupil_over_from_either_side(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        first = room.start()
        maths, teacher = group(room)
        second = begin(maths, teacher, "*.udir.no", now=NOW + 10 * MINUTE)
        one, two = room.devices[:2]
        tablets.bring_in(first.id, [one.id], by=room.teacher, now=NOW + 11 * MINUTE, timezone=OSLO)
        assert (part(first, one), part(second, one)) == (Part.IN, Part.TAKEN)
        assert hosts(one.id, NOW + 11 * MINUTE) == ["*.nb.no"]
        tablets.hand_to(second.id, [two.id], other_id=first.id, by=teacher, now=NOW + 12 * MINUTE, timezone=OSLO)
        assert (part(first, two), part(second, two)) == (Part.IN, Part.TAKEN)
        with pytest.raises(NotFoundError):
            tablets.hand_to(second.id, [two.id], other_id=first.id, by=teacher, now=NOW + 12 * MINUTE, timezone=OSLO)


@pytest.mark.parametrize("why", [Part.ABSENT, Part.RELEASED])
def test_nobody_hands_a_pupil_to_a_lesson_whose_teacher_has_left_it_out(app: Flask, why: Part) -> None:
    with transaction():
        room, at = lessons.room(), NOW + MINUTE
        first = room.start()
        maths, teacher = group(room)
        one = room.ids[0]
        tablets.leave_out(first.id, [one], why, by=room.teacher, now=NOW)
        second = begin(maths, teacher, "*.udir.no", now=at)
        with pytest.raises(NotFoundError):
            tablets.hand_to(second.id, [one], other_id=first.id, by=teacher, now=at, timezone=OSLO)
        assert hosts(one, at) == ["*.udir.no"]


def test_no_tablet_is_ever_under_two_leases(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        first = room.start()
        maths, teacher = group(room, count=3)
        for minute in (5, 9):
            begin(maths, teacher, "*.udir.no", now=NOW + minute * MINUTE, until=UNTIL - minute * MINUTE)
        life.extend(first.id, until=UNTIL + 20 * MINUTE, by=room.teacher, now=NOW + 10 * MINUTE, timezone=OSLO)
        tablets.bring_in(first.id, room.ids, by=room.teacher, now=NOW + 12 * MINUTE, timezone=OSLO)
        for one in room.devices:
            found = stretches(one)
            assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(found))
            assert found[-1][1] == UNTIL + 20 * MINUTE


# -- the tablet in use now -----------------------------------------------------------------------------------------


def test_a_cart_tablet_that_a_pupil_takes_joins_the_lesson_and_leaves_with_its_pupil(app: Flask) -> None:
    at = NOW + 5 * MINUTE
    with transaction():
        room = lessons.room()
        lesson = room.start()
        cart = make.device(room.school, cart="Vogn 1")
        seen([cart.id], at=NOW, now=NOW)
        devices.move(cart, school=room.school, person=room.devices[0].person, cart="Vogn 1", by=CLI, now=at)
        run_followers()
        assert part(lesson, cart) is Part.IN
        assert hosts(cart.id, at) == ["*.nb.no"]
        devices.move(cart, school=room.school, cart="Vogn 1", by=CLI, now=at + MINUTE)
        run_followers()
        assert part(lesson, cart) is Part.GONE
        assert hosts(cart.id, at + MINUTE) is None


def test_the_classs_own_set_is_in_and_a_tablet_out_of_use_is_not(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        stands, lost = (make.device(room.school, class_id=room.of.id) for _ in range(2))
        lost.life = DeviceLife.LOST
        seen([stands.id, lost.id], at=NOW, now=NOW)
        lesson = room.start()
        rows = {row.device_id: row for row in views.view(lesson.id, by=room.teacher, now=NOW).rows}
        assert rows.keys() == {stands.id, room.ids[0]}
        assert rows[stands.id].pupil is None


def test_a_tablet_that_is_reported_lost_in_mid_lesson_is_out_of_it(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        devices.step(room.devices[0], "lost", by=CLI, now=NOW + MINUTE)
        run_followers()
        assert part(lesson, room.devices[0]) is Part.GONE
        assert stretches(room.devices[0], since=NOW + MINUTE) == []


def test_a_profile_assigned_in_mid_lesson_lies_under_the_lesson(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        room.start()
        make.assign(make.published("ny", **{"camera.allowed": False}), Place.school(room.school), now=NOW + MINUTE)
        assert hosts(room.ids[0], NOW + MINUTE) == ["*.nb.no"]
        assert hosts(room.ids[0], UNTIL) is None


# -- orders in a lesson --------------------------------------------------------------------------------------------


def test_a_teacher_wishes_gently_of_the_tablets_in_an_own_running_lesson(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        for one in room.devices:
            make.enrolment(one)
        lesson = room.start(absent=[room.devices[2].person_id])
        queued = ordering.order(lesson.id, Wish(OrderKind.MESSAGE, text="Se hit."), by=room.teacher, now=NOW)
        assert {one.device_id for one in queued} == set(room.ids[:2])
        assert {one.expires_at for one in queued} == {UNTIL}, "nothing outlives the lesson"
        ring = Wish(OrderKind.RING)
        assert len(ordering.order(lesson.id, ring, device_ids=room.ids[:1], by=room.teacher, now=NOW)) == 1
        with pytest.raises(NotFoundError):
            ordering.order(lesson.id, ring, device_ids=room.ids[2:], by=room.teacher, now=NOW)
        with pytest.raises(LessonOverError):
            ordering.order(lesson.id, ring, by=room.teacher, now=UNTIL)
        with pytest.raises(ForbiddenError):
            orders.queue(room.devices[:1], ring, by=room.teacher, now=NOW)


def test_what_was_wished_in_a_lesson_is_taken_back_where_the_lesson_is_over_for_a_tablet(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        for one in room.devices:
            make.enrolment(one)
        lesson = room.start()
        ordering.order(lesson.id, Wish(OrderKind.MESSAGE, text="Se hit."), by=room.teacher, now=NOW)
        before = db.session.get_one(DeviceState, room.ids[0]).config_version

        def waiting() -> set[int]:
            return set(orders.pending(room.ids, now=NOW + MINUTE))

        tablets.leave_out(lesson.id, room.ids[:1], Part.RELEASED, by=room.teacher, now=NOW + MINUTE)
        assert waiting() == set(room.ids[1:])
        assert db.session.get_one(DeviceState, room.ids[0]).config_version > before
        maths, teacher = group(room)
        begin(maths, teacher, "*.udir.no", now=NOW + MINUTE)
        assert waiting() == {room.ids[2]}
        life.end(lesson.id, by=room.teacher, now=NOW + MINUTE)
        assert waiting() == set()


def test_a_teacher_of_another_class_orders_nothing_there(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        make.enrolment(room.devices[0])
        lesson = room.start()
        stranger = lessons.room("9A", school=room.school, count=1).teacher
        with pytest.raises(NotFoundError):
            ordering.order(lesson.id, Wish(OrderKind.RING), by=stranger, now=NOW)


def test_tablets_of_many_lessons_that_come_together_cost_three_statements_for_each_lesson(
    app: Flask, statements: list[str]
) -> None:
    with transaction():
        school, at, counts = make.school(), NOW + MINUTE, []
        for number in (1, 3):
            rooms = [lessons.room(f"{number}{title}", school=school, seen_at=YESTERDAY) for title in "ABC"[:number]]
            for one in rooms:
                one.start()
            db.session.flush()
            statements.clear()
            seen([device_id for one in rooms for device_id in one.ids], at=at, now=at)
            counts.append(len([one for one in statements if "lease" in one or "lesson" in one]))
        assert counts[1] - counts[0] == 2 * 3


def test_followers_ask_little_where_no_tablet_is_in_a_lesson(app: Flask, statements: list[str]) -> None:
    with transaction():
        school = make.school()
        ids = [one.id for one in make.tablets(school, 30)]
        db.session.flush()
        statements.clear()
        for subject in ("fetched", "report", "presence"):
            changed(subject, ids, now=NOW)
        run_followers()
        mine = [one for one in statements if "lesson" in one]
    assert len(mine) <= 3
    obeyed([], now=NOW)


def test_tablets_in_lessons_now_are_counted_by_school(app: Flask, statements: list[str]) -> None:
    with transaction():
        room = lessons.room()
        other = lessons.room("5C", school=make.school("Naboskolen"), count=1)
        room.start(absent=[room.devices[0].person_id])
        other.start()
        db.session.flush()
        statements.clear()
        assert occupied.by_school(by=CLI, now=NOW + MINUTE) == {room.school.id: 2, other.school.id: 1}
        assert len(statements) == 1
        it_there = Principal("account", "9", grants=(Grant(Role.SCHOOL_IT, other.school.id),))
        assert occupied.by_school(by=it_there, now=NOW + MINUTE) == {other.school.id: 1}
        assert occupied.by_school(by=CLI, now=UNTIL) == {}
