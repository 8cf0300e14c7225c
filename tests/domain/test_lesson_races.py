"""Lessons, reports and jobs at the same time: nobody is given up for a deadlock, no tablet is missed or had by two."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import time as local_time
from functools import partial

from flask import Flask
from sqlalchemy import func, select

from fleet.access import Principal
from fleet.checkins import polls, presence, receive
from fleet.checkins.presence import Poll
from fleet.checkins.receive import Report
from fleet.db import db, id_set, reading, transaction
from fleet.devices import states
from fleet.devices.models import Device, DeviceState
from fleet.lessons import following, granting, life, plans, sets, timetable
from fleet.lessons.life import LessonOverError
from fleet.lessons.models import Lesson, LessonSet, LessonTablet, Part, SetKind
from fleet.schools.models import ClassKind, School, SchoolClass
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, OSLO, UNTIL, part, stretches
from tests.races import together, waits_for_a_lock

CLI = Principal.command_line()
ROUNDS = 4


def made(own_app: Flask, *, count: int = 6) -> list[int]:
    """Make a class on a database that threads share; returns its tablets' numbers."""
    with own_app.app_context(), transaction():
        room = lessons.room(count=count)
        for one in room.devices:
            make.known_key(one, f"k{one.id}")
        return room.ids


def start(class_id: int, seconds: float = 0) -> int:
    of = db.session.get_one(SchoolClass, class_id)
    now = NOW + seconds * MINUTE / 60
    given = sets.quick(SetKind.EYES, school_class=of, by=CLI, now=now)
    return life.start(of, given, until=UNTIL, by=CLI, now=now, timezone=OSLO).id


def reported(ids: list[int], number: int) -> None:
    """Have tablets report what they shall have now."""
    batch = [
        Report(
            device_id=one, key=f"k{one}", sequence=number, report_id=f"{number}", body_digest="b",
            applied=lessons.due(one, NOW)["profile"], facts={"round": number},
        )
        for one in reversed(ids)
    ]  # fmt: skip
    receive.receive(batch, now=NOW + number * MINUTE / 60)


def test_of_two_teachers_who_start_for_the_same_pupils_at_once_one_has_each(own_app: Flask) -> None:
    ids = made(own_app)
    with own_app.app_context(), transaction():
        maths = make.school_class(db.session.get_one(School, 1), "MAT 8B", ClassKind.TEACHING)
        for one in db.session.scalars(select(Device).where(Device.id.in_(ids))).all():
            assert one.person is not None
            make.membership(one.person, maths)
        class_ids = [1, maths.id]
    for seconds in range(ROUNDS):
        # The one whose clock is behind may have its turn last.
        numbers = together(
            own_app, [partial(start, class_ids[0], seconds), partial(start, class_ids[1], seconds + 0.3)]
        )
        assert all(isinstance(one, int) for one in numbers)
        with own_app.app_context(), reading():
            at = NOW + (seconds + 0.5) * MINUTE / 60
            assert [len(granting.in_lesson(int(str(one)), now=at)) for one in numbers] == [0, len(ids)]
            for one in db.session.scalars(select(Device).where(Device.id.in_(ids))):
                found = stretches(one)
                assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(found))


def test_reports_while_lessons_start_change_and_end(own_app: Flask) -> None:
    ids = made(own_app)
    running: list[int] = []

    def begin() -> None:
        running.append(start(1))

    def change() -> None:
        of = db.session.get_one(SchoolClass, 1)
        given = sets.quick(SetKind.WEB, school_class=of, hosts=["*.nb.no"], by=CLI, now=NOW)
        life.change_set(running[-1], given, by=CLI, now=NOW, timezone=OSLO)

    def end() -> None:
        life.end(running[-1], by=CLI, now=NOW)

    numbers = itertools.count(1)
    for act in [begin, change, end] * ROUNDS:
        tasks: list[Callable[[], object]] = [
            act,
            lambda: reported(ids, next(numbers)),
            lambda: polls.note_fetched(dict.fromkeys(ids, 2), now=NOW),
            lambda: following.note_arrivals(None, now=NOW),
        ]
        assert together(own_app, tasks)[:3] == [None] * 3


def test_a_lesson_that_is_extended_while_it_is_ended_is_over_or_goes_on(own_app: Flask) -> None:
    ids = made(own_app)
    for _ in range(ROUNDS):
        (number,) = together(own_app, [lambda: start(1)])
        lesson_id = int(str(number))
        extending = partial(life.extend, lesson_id, until=UNTIL + 10 * MINUTE, timezone=OSLO)
        tasks = [partial(act, by=CLI, now=NOW + MINUTE) for act in (extending, partial(life.end, lesson_id))]
        extended, ended = together(own_app, tasks)
        assert isinstance(ended, Lesson)
        assert isinstance(extended, LessonOverError | Lesson)
        with own_app.app_context(), reading():
            for one in db.session.scalars(select(Device).where(Device.id.in_(ids))):
                assert stretches(one, since=NOW + MINUTE) == []


def test_a_tablet_that_comes_while_its_lesson_is_started_is_in(waiting_app: Flask) -> None:
    with waiting_app.app_context(), transaction():
        room = lessons.room(count=1, seen_at=None)
        (device_id,) = room.ids

    def come() -> None:
        poll = Poll(device_id, NOW, NOW + MINUTE, waits=True)
        presence.note([poll], ranges_of={}, timezone=OSLO, now=NOW)

    with ThreadPoolExecutor(1) as pool, waiting_app.app_context():
        with transaction():
            lesson_id = start(1)
            coming = pool.submit(together, waiting_app, [come])
            waits_for_a_lock()
        assert coming.result() == [None]
        with reading():
            one = db.session.get_one(Device, device_id)
            assert part(db.session.get_one(Lesson, lesson_id), one) is Part.IN


def test_planned_lessons_of_several_classes_are_made_while_their_tablets_report(waiting_app: Flask) -> None:
    """The first class has the tablets with the higher numbers: whoever takes class by class meets reports in a circle."""
    with waiting_app.app_context(), transaction():
        school = make.school()
        second, first = make.school_class(school, "8B"), make.school_class(school, "8A")
        low, high = (make.device(school, class_id=of.id).id for of in (second, first))
        for of in (first, second):
            given = sets.quick(SetKind.EYES, school_class=of, by=CLI, now=NOW)
            plans.plan(
                of, given, weekday=0, starts_at=local_time(10, 30), ends_at=local_time(11), holder_id=None, by=CLI,
                now=NOW, timezone=OSLO,
            )  # fmt: skip
    with ThreadPoolExecutor(1) as pool, waiting_app.app_context():
        with transaction():
            states.lock(id_set([low]))
            making = pool.submit(together, waiting_app, [lambda: timetable.begin_due(now=NOW, timezone=OSLO)])
            waits_for_a_lock()
            states.lock(id_set([high]))
        assert making.result() == [2]
        with reading():
            assert db.session.scalar(select(func.count(LessonTablet.id))) == 2


def test_the_job_that_looks_for_arrivals_waits_for_the_tablets_rows(waiting_app: Flask) -> None:
    """What it has seen may be no more when it writes: another set was given meanwhile."""
    ids = made(waiting_app, count=1)
    (number,) = together(waiting_app, [lambda: start(1)])
    lesson_id = int(str(number))
    with waiting_app.app_context(), transaction():
        state = db.session.get_one(DeviceState, ids[0])
        state.applied_digest, state.last_seen_at = lessons.due(ids[0], NOW)["profile"], NOW
    with ThreadPoolExecutor(1) as pool, waiting_app.app_context():
        with transaction():
            of = db.session.get_one(SchoolClass, 1)
            given = sets.quick(SetKind.WEB, school_class=of, hosts=["*.nb.no"], by=CLI, now=NOW)
            life.change_set(lesson_id, given, by=CLI, now=NOW, timezone=OSLO)
            looking = pool.submit(together, waiting_app, [lambda: following.note_arrivals(None, now=NOW)])
            waits_for_a_lock()
        assert looking.result() == [0]
        with reading():
            assert db.session.scalars(select(LessonTablet.arrived_at)).all() == [None]


def test_lessons_of_classes_without_a_pupil_in_common_start_side_by_side(waiting_app: Flask) -> None:
    with waiting_app.app_context(), transaction():
        first = lessons.room(count=2)
        rooms = [(first.of.id, first.given.id)]
        second = lessons.room("9A", school=first.school, count=2)
        rooms.append((second.of.id, second.given.id))

    def begin(class_id: int, set_id: int) -> int:
        of, given = db.session.get_one(SchoolClass, class_id), db.session.get_one(LessonSet, set_id)
        return life.start(of, given, until=UNTIL, by=CLI, now=NOW, timezone=OSLO).id

    with waiting_app.app_context(), transaction():
        for one in rooms:
            begin(*one)  # keeps what both shall have: who keeps it first is waited for
    with ThreadPoolExecutor(1) as pool, waiting_app.app_context(), transaction():
        begin(*rooms[0])
        other = pool.submit(together, waiting_app, [partial(begin, *rooms[1])])
        assert isinstance(other.result(timeout=30)[0], int), "although the first is not committed"


def test_many_who_start_at_once_for_groups_that_overlap_all_start(own_app: Flask) -> None:
    ids = made(own_app, count=12)
    with own_app.app_context(), transaction():
        people = [db.session.get_one(Device, one).person for one in ids]
        groups = []
        for number in range(6):
            group = make.school_class(db.session.get_one(School, 1), f"GR {number}", ClassKind.TEACHING)
            for person in people[number : number + 7]:
                assert person is not None
                make.membership(person, group)
            groups.append(group.id)
    for second in range(ROUNDS):
        found = together(own_app, [partial(start, one, second) for one in groups])
        assert all(isinstance(one, int) for one in found)
    with own_app.app_context(), reading():
        for one in db.session.scalars(select(Device).where(Device.id.in_(ids))):
            mine = stretches(one)
            assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(mine))
