"""What comes twice: a wish that was sent again, a lesson that is begun again, the same page opened again."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from fleet.db import db, transaction
from fleet.errors import ForbiddenError, NotFoundError
from fleet.lessons import again, life, ordering, sets, tablets
from fleet.lessons.models import Lesson, LessonSet, LessonTablet, Part, SetKind
from fleet.orders import Order, OrderKind, OrderState, Wish
from fleet.people import accounts
from fleet.schools.models import SchoolClass
from tests import factories, lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, OSLO, UNTIL
from tests.races import together

SECOND = timedelta(seconds=1)


def test_a_wish_that_is_sent_twice_starts_one_lesson(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        first = room.start(request_id="a")
        assert room.start(request_id="a", now=NOW + 5 * SECOND) is first
        life.end(first.id, by=room.teacher, now=NOW + MINUTE)
        assert room.start(request_id="a", now=NOW + 2 * MINUTE) is first, "what was ended since is not begun by an echo"
        assert room.start(request_id="b", now=NOW + 2 * MINUTE) is not first
        assert room.start(now=NOW + 3 * MINUTE).request_id is None
        assert db.session.scalar(select(func.count()).select_from(Lesson)) == 3


def test_a_wish_is_known_among_those_of_the_one_who_had_it(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        first = room.start(request_id="a")
        assert room.start(request_id="a", by=lessons.teacher_of(room.of), now=NOW + MINUTE) is not first


def test_a_wish_that_arrives_twice_at_once_starts_one_lesson(own_app: Flask) -> None:
    with own_app.app_context(), transaction():
        room = lessons.room()
        class_id, set_id, by = room.of.id, room.given.id, room.teacher

    def start() -> int:
        of, given = db.session.get_one(SchoolClass, class_id), db.session.get_one(LessonSet, set_id)
        return life.start(of, given, until=UNTIL, request_id="a", by=by, now=NOW, timezone=OSLO).id

    numbers = together(own_app, [start] * 4)
    assert len(set(numbers)) == 1


def test_a_lesson_begun_again_has_class_set_and_absent_pupils_of_the_earlier_one(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start(absent=[room.devices[0].person_id])
        tablets.leave_out(lesson.id, room.ids[1:2], Part.RELEASED, by=room.teacher, now=NOW)
        eyes = sets.quick(SetKind.EYES, school_class=room.of, by=room.teacher, now=NOW)
        life.change_set(lesson.id, eyes, by=room.teacher, now=NOW + MINUTE, timezone=OSLO)
        life.end(lesson.id, by=room.teacher, now=NOW + 2 * MINUTE)
        at = NOW + 3 * MINUTE
        told = {"by": room.teacher, "now": at, "timezone": OSLO}
        new = again.start_again(lesson.id, until=UNTIL, request_id="x", **told)  # type: ignore[arg-type]
        assert (new.class_id, new.given[-1].set_id, new.starts_at, new.ends_at) == (
            room.of.id,
            room.given.id,
            at,
            UNTIL,
        )
        rows = select(LessonTablet.part).where(LessonTablet.lesson_id == new.id).order_by(LessonTablet.device_id)
        assert db.session.scalars(rows).all() == [Part.ABSENT, Part.ABSENT, Part.IN]
        assert again.start_again(lesson.id, until=UNTIL, request_id="x", **told) is new  # type: ignore[arg-type]


def test_a_lesson_begun_again_after_its_end_lasts_as_long_as_most_would_choose(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        for until in (None, UNTIL):
            new = again.start_again(lesson.id, until=until, by=room.teacher, now=UNTIL + MINUTE, timezone=OSLO)
            assert new.ends_at == UNTIL + 45 * MINUTE  # a round time


def test_a_lesson_is_begun_again_by_who_may_teach_the_class_with_a_set_that_there_is(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        stranger = lessons.teacher_of(factories.school_class(room.school, "1A"))
        with pytest.raises(NotFoundError):
            again.start_again(lesson.id, by=stranger, now=NOW, timezone=OSLO)
        sets.withdraw(room.given.id, by=room.teacher, now=NOW)
        with pytest.raises(NotFoundError) as refused:
            again.start_again(lesson.id, by=room.teacher, now=NOW, timezone=OSLO)
        assert refused.value.data["kind"] == "lesson set"


def test_who_was_handed_a_lesson_does_not_begin_the_class_again(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        colleague = factories.teacher("vikar", factories.school_class(room.school, "1A"))
        eyes = sets.quick(SetKind.EYES, school_class=room.of, by=room.teacher, now=NOW)
        lesson = room.start(given=eyes)
        life.hand_over(lesson.id, colleague, by=room.teacher, now=NOW)
        by = accounts.principal(colleague, today=NOW.date())
        assert by is not None
        with pytest.raises((ForbiddenError, NotFoundError)):
            again.start_again(lesson.id, by=by, now=NOW + MINUTE, timezone=OSLO)


def test_the_same_wish_again_within_some_seconds_is_one_and_what_was_opened_is_remembered(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=2)
        for one in room.devices:
            factories.enrolment(one)
        lesson = room.start()

        def wish(address: str, seconds: int) -> int:
            told = Wish(OrderKind.OPEN_URL, url=address)
            return len(ordering.order(lesson.id, told, by=room.teacher, now=NOW + seconds * SECOND))

        assert ordering.opened(lesson.id) == []
        assert wish("https://nrk.no", 0) == 2
        db.session.execute(update(Order).values(state=OrderState.DONE))
        assert wish("https://nrk.no", 19) == 0, "a phone that lost the network sent it again"
        assert wish("https://snl.no", 19) == 2
        assert wish("https://nrk.no", 21) == 2, "the teacher opens it anew"
        assert ordering.opened(lesson.id) == ["https://nrk.no", "https://snl.no"]
        other = lessons.room("9A", school=room.school)
        assert ordering.opened(other.start().id) == []
