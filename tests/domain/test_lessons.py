"""A lesson begins, arrives, is extended, changed and handed over, and ends: by the teacher, or by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from fleet import outbox
from fleet.access import Grant, Principal, Role
from fleet.assignments.assigning import Place
from fleet.assignments.models import LeasedTablet
from fleet.checkins import polls
from fleet.db import changed, db, run_followers, transaction
from fleet.devices.models import DeviceState
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.lessons import life, retention, sets, views
from fleet.lessons.life import LessonOverError, OutsideSchoolHoursError, TooLongError
from fleet.lessons.models import Lesson, LessonTablet, Part, SetKind
from fleet.lessons.views import Stage, State
from tests import factories as make
from tests import lessons
from tests.conftest import NOW
from tests.lessons import MINUTE, OSLO, UNTIL, hosts, obeyed, part, seen, stretches

CLI = Principal.command_line()
ONLY_NB = ["*.nb.no"]


def states(lesson: Lesson, by: Principal, now: datetime) -> dict[State, int]:
    return dict(views.view(lesson.id, by=by, now=now).counts)


def test_a_lesson_is_in_the_schedule_of_every_tablet_with_its_end(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        for one in room.devices:
            assert hosts(one.id, NOW) == ONLY_NB
            assert hosts(one.id, UNTIL) is None
            assert stretches(one) == [(NOW, UNTIL)]
        assert (lesson.starts_at, lesson.ends_at, lesson.holder_id) == (NOW, UNTIL, int(room.teacher.id))


def rolled_back(room: lessons.Room) -> None:
    """Start a lesson in a transaction that fails afterwards."""
    with transaction():
        room.start(now=NOW + MINUTE)
        room.start(now=NOW + MINUTE, until=NOW)


def test_the_tablets_that_get_something_new_are_rung_after_the_commit_and_not_before(app: Flask) -> None:
    rung: list[frozenset[int]] = []
    stop = outbox.add_ring(rung.append)
    try:
        with transaction():
            room = lessons.room()
            room.start()
            assert rung == []
        assert frozenset(room.ids) in rung
        rung.clear()
        with pytest.raises(InvalidError):
            rolled_back(room)
        assert rung == []
    finally:
        stop()


def test_a_lesson_that_was_started_is_seen_to_arrive_tablet_by_tablet(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        assert states(lesson, room.teacher, NOW) == {State.WAITING: 3}
        older = dict.fromkeys(room.ids[:2], 1)
        polls.note_fetched(older, now=NOW)
        run_followers()
        assert states(lesson, room.teacher, NOW) == {State.WAITING: 3}, (
            "what was fetched before the lesson is not of it"
        )
        lessons.fetched(room.ids[:2], now=NOW)
        assert states(lesson, room.teacher, NOW) == {State.WAITING: 1, State.FETCHED: 2}
        obeyed(room.ids[:1], now=NOW + MINUTE)
        obeyed(room.ids[1:2], now=NOW + MINUTE, failures=[{"key": "web.allowed", "reason": "rejected"}])
        found = views.view(lesson.id, by=room.teacher, now=NOW + MINUTE)
        assert dict(found.counts) == {State.APPLIED: 1, State.FAILED: 1, State.WAITING: 1}
        assert (found.arrived, found.meant) == (2, 3)
        (failed,) = (row for row in found.rows if row.state is State.FAILED)
        assert failed.failures == [{"key": "web.allowed", "reason": "rejected"}]
        assert failed.since == NOW + MINUTE


def test_after_a_lesson_the_receipt_names_who_is_back_and_who_is_not(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        obeyed(room.ids[:2], now=NOW + MINUTE)
        assert states(lesson, room.teacher, UNTIL) == {State.STRAGGLER: 2, State.UNTOUCHED: 1}
        obeyed(room.ids[:1], now=UNTIL + MINUTE)
        found = views.view(lesson.id, by=room.teacher, now=UNTIL + MINUTE)
        assert found.stage is Stage.OVER
        assert dict(found.counts) == {State.BACK: 1, State.STRAGGLER: 1, State.UNTOUCHED: 1}
        (back,) = (row for row in found.rows if row.state is State.BACK)
        assert back.since == UNTIL + MINUTE


def test_who_had_an_earlier_set_of_the_lesson_is_a_straggler_until_it_is_back(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=2)
        lesson = room.start()
        obeyed(room.ids[:1], now=NOW + MINUTE)
        other = sets.quick(SetKind.EYES, school_class=room.of, by=room.teacher, now=NOW)
        life.change_set(lesson.id, other, by=room.teacher, now=NOW + 5 * MINUTE, timezone=OSLO)
        assert states(lesson, room.teacher, NOW + 5 * MINUTE) == {State.WAITING: 2}, "of what it gives now"
        life.end(lesson.id, by=room.teacher, now=NOW + 6 * MINUTE)
        assert states(lesson, room.teacher, NOW + 6 * MINUTE) == {State.STRAGGLER: 1, State.UNTOUCHED: 1}
        obeyed(room.ids, now=NOW + 7 * MINUTE)
        assert states(lesson, room.teacher, NOW + 7 * MINUTE) == {State.BACK: 1, State.UNTOUCHED: 1}


def test_a_report_of_the_lessons_profile_after_its_end_is_no_receipt(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        lesson = room.start()
        obeyed(room.ids, now=NOW + MINUTE)
        state = db.session.get_one(DeviceState, room.ids[0])
        state.last_seen_at = UNTIL + MINUTE
        changed("report", room.ids, now=UNTIL + MINUTE)
        run_followers()
        assert states(lesson, room.teacher, UNTIL + MINUTE) == {State.STRAGGLER: 1}


def test_a_teacher_ends_a_lesson_early(app: Flask) -> None:
    at = NOW + 10 * MINUTE
    with transaction():
        room = lessons.room()
        lesson = room.start()
        obeyed(room.ids, now=NOW)
        life.end(lesson.id, by=room.teacher, now=at)
        assert [hosts(one, at) for one in room.ids] == [None, None, None]
        assert (lesson.ends_at, lesson.ended_at) == (at, at)
        assert states(lesson, room.teacher, at) == {State.STRAGGLER: 3}
        with pytest.raises(LessonOverError):
            life.end(lesson.id, by=room.teacher, now=at)


def test_a_lesson_is_extended_and_shortened_and_what_arrived_has_arrived(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        lesson = room.start()
        obeyed(room.ids, now=NOW)
        life.extend(lesson.id, until=UNTIL + 10 * MINUTE, by=room.teacher, now=NOW + MINUTE, timezone=OSLO)
        assert hosts(room.ids[0], UNTIL + 9 * MINUTE) == ONLY_NB
        assert hosts(room.ids[0], UNTIL + 10 * MINUTE) is None
        assert states(lesson, room.teacher, NOW + MINUTE) == {State.APPLIED: 1}
        life.extend(lesson.id, until=NOW + 20 * MINUTE, by=room.teacher, now=NOW + 2 * MINUTE, timezone=OSLO)
        assert hosts(room.ids[0], NOW + 20 * MINUTE) is None
        with pytest.raises(TooLongError):
            life.extend(lesson.id, until=NOW + timedelta(hours=3), by=room.teacher, now=NOW + MINUTE, timezone=OSLO)


def test_another_set_holds_for_the_rest_of_the_lesson(app: Flask) -> None:
    at = NOW + 5 * MINUTE
    with transaction():
        room = lessons.room(count=2)
        lesson = room.start()
        obeyed(room.ids, now=NOW)
        other = sets.quick(SetKind.WEB, school_class=room.of, hosts=["*.nrk.no"], by=room.teacher, now=NOW)
        life.change_set(lesson.id, other, by=room.teacher, now=at, timezone=OSLO)
        assert hosts(room.ids[0], at) == ["*.nrk.no"]
        assert hosts(room.ids[0], UNTIL) is None
        assert states(lesson, room.teacher, at) == {State.WAITING: 2}
        assert [one.set_id for one in lesson.given] == [room.given.id, other.id]


def test_a_colleague_who_takes_over_may_act_although_the_class_is_anothers(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        lesson = room.start()
        account = make.account("vikar", (Role.TEACHER, room.school))
        colleague = Principal("account", str(account.id), (Grant(Role.TEACHER, room.school.id),))
        with pytest.raises(NotFoundError):
            life.end(lesson.id, by=colleague, now=NOW)
        with pytest.raises(ForbiddenError):
            sets.quick(SetKind.EYES, school_class=room.of, by=colleague, now=NOW)
        life.hand_over(lesson.id, account, by=room.teacher, now=NOW)
        eyes = sets.quick(SetKind.EYES, school_class=room.of, by=colleague, now=NOW)
        life.change_set(lesson.id, eyes, by=colleague, now=NOW, timezone=OSLO)
        assert eyes.id in {one.set.id for one in sets.offered(room.of, by=colleague, now=NOW)}
        life.end(lesson.id, by=colleague, now=NOW + MINUTE)
        stranger = make.account("fremmed", (Role.TEACHER, make.school("Annen skole")))
        with pytest.raises(LessonOverError):
            life.hand_over(lesson.id, stranger, by=room.teacher, now=NOW + MINUTE)


def test_a_lesson_is_handed_only_to_who_teaches_at_the_school(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        lesson = room.start()
        stranger = make.account("fremmed", (Role.TEACHER, make.school("Annen skole")))
        with pytest.raises(InvalidError):
            life.hand_over(lesson.id, stranger, by=room.teacher, now=NOW)


def test_a_teacher_of_another_class_can_do_nothing(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start()
        other = lessons.room("9A", school=room.school, count=1)
        stranger = other.teacher
        with pytest.raises(ForbiddenError):
            room.start(by=stranger)
        for act in (
            lambda: life.end(lesson.id, by=stranger, now=NOW),
            lambda: life.extend(lesson.id, until=UNTIL + MINUTE, by=stranger, now=NOW, timezone=OSLO),
            lambda: life.change_set(lesson.id, other.given, by=stranger, now=NOW, timezone=OSLO),
            lambda: views.view(lesson.id, by=stranger, now=NOW),
        ):
            with pytest.raises(NotFoundError):
                act()
        assert views.listed(by=stranger, now=NOW) == []
        assert [one.id for one in views.listed(by=room.teacher, now=NOW)] == [lesson.id]


def test_whoever_may_not_extend_a_lesson_may_shorten_it(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        lesson = room.start()
        room.school.longest_lesson_min = 15
        with pytest.raises(TooLongError):
            life.extend(lesson.id, until=UNTIL + MINUTE, by=room.teacher, now=NOW, timezone=OSLO)
        life.extend(lesson.id, until=UNTIL - MINUTE, by=room.teacher, now=NOW, timezone=OSLO)
        assert stretches(room.devices[0]) == [(NOW, UNTIL - MINUTE)]


def test_lessons_that_run_are_listed_first_however_many_are_planned(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        runs, over = room.start(), lessons.room("8C", school=room.school, count=1).start()
        life.end(over.id, by=CLI, now=NOW)
        for number in range(2):
            given = lessons.room(f"9{number}", school=room.school, count=1)
            later = life.start(given.of, given.given, until=UNTIL, by=CLI, now=NOW, timezone=OSLO)
            later.starts_at += MINUTE
        db.session.flush()
        found = views.listed(by=CLI, now=NOW, with_over=True)
        assert [views.stage_of(one, NOW) for one in found] == [Stage.RUNNING, *[Stage.PLANNED] * 2, Stage.OVER]
        assert list(views.listed(by=CLI, now=NOW, limit=1)) == [runs]


def test_no_lesson_outside_school_hours_without_the_right_to(app: Flask) -> None:
    evening = datetime(2026, 9, 14, 18, 0, tzinfo=UTC)
    with transaction():
        room = lessons.room()
        with pytest.raises(OutsideSchoolHoursError) as refused:
            room.start(now=evening, until=evening + MINUTE)
        assert refused.value.data["begins_at"].hour == 8
        seen(room.ids, at=evening, now=evening)
        it = Principal("account", room.teacher.id, (Grant(Role.SCHOOL_IT, room.school.id),))
        assert room.start(now=evening, until=evening + MINUTE, by=it).id


@pytest.mark.parametrize(
    ("until", "because"), [(NOW + timedelta(hours=2, minutes=1), "longest"), (NOW + timedelta(hours=5), "school-day")]
)
def test_a_lesson_that_would_last_too_long_is_refused_with_how_long_it_may(
    app: Flask, until: datetime, because: str
) -> None:
    with transaction():
        room = lessons.room()
        room.school.longest_lesson_min = 120 if because == "longest" else 480
        with pytest.raises(TooLongError) as refused:
            room.start(until=until)
        assert refused.value.data["because"] == because
        assert db.session.scalar(select(func.count()).select_from(Lesson)) == 0


def test_a_lesson_that_ends_before_it_begins_is_refused(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        with pytest.raises(InvalidError):
            room.start(until=NOW)


def test_a_class_without_a_tablet_has_no_lesson(app: Flask) -> None:
    with pytest.raises(ConflictError), transaction():
        lessons.room(count=0).start()


def test_a_lesson_can_only_tighten_what_is_set(app: Flask) -> None:
    with transaction():
        room = lessons.room(count=1)
        make.assign(make.published("kommune", **{"web.allowed": ["*.udir.no", "*.nb.no"]}), Place.municipality())
        given = sets.quick(SetKind.WEB, school_class=room.of, hosts=["*.nb.no", "*.vg.no"], by=room.teacher, now=NOW)
        room.start(given=given)
        assert hosts(room.ids[0], NOW) == ["*.nb.no"]
        assert hosts(room.ids[0], UNTIL) == ["*.nb.no", "*.udir.no"]


def test_starting_anew_in_a_class_ends_the_earlier_lesson(app: Flask) -> None:
    later = NOW + 5 * MINUTE
    with transaction():
        room = lessons.room()
        first = room.start()
        second = room.start(now=later)
        assert first.ended_at == later
        assert second.ended_at is None
        assert all(stretches(one, since=later) == [(later, UNTIL)] for one in room.devices)


def test_as_many_statements_for_thirty_tablets_as_for_three(app: Flask, statements: list[str]) -> None:
    counts = []
    for size in (3, 30):
        with transaction():
            room = lessons.room(f"{size}A", count=size)
            statements.clear()
            lesson = room.start()
            started = len(statements)
            statements.clear()
            life.end(lesson.id, by=room.teacher, now=NOW + MINUTE)
            ended = len(statements)
            statements.clear()
            views.view(lesson.id, by=room.teacher, now=NOW + MINUTE)
            counts.append((started, ended, len(statements)))
    assert counts[0] == counts[1]
    assert counts[0][0] <= 45, counts


def test_what_is_over_long_ago_is_forgotten_with_its_leases(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        old = room.start()
        fresh = room.start(now=NOW + MINUTE)
        fresh.ends_at = NOW + timedelta(days=100)
        db.session.flush()
        at, old_id = NOW + timedelta(days=95), old.id
        assert retention.forget(older_than=timedelta(days=90), now=at) == 1
        assert retention.forget(older_than=timedelta(days=90), now=at) == 0
        assert db.session.get(Lesson, old_id) is None
        assert set(db.session.scalars(select(LessonTablet.lesson_id))) == {fresh.id}
        assert set(db.session.scalars(select(LeasedTablet.lease_id))) == {fresh.given[0].lease_id}


def test_parts(app: Flask) -> None:
    with transaction():
        room = lessons.room()
        lesson = room.start(absent=[room.devices[0].person_id or 0])
        assert [part(lesson, one) for one in room.devices] == [Part.ABSENT, Part.IN, Part.IN]
        assert stretches(room.devices[0]) == []
