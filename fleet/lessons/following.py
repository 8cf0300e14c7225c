"""Lessons follow what happens: tablets fetch, report, come, leave the network, change hands.

Each follower is called before the commit of the transaction in which it happened, with all tablets it happened to, and
costs one statement where none of them is in a lesson. What a report or a fetch says is only noted: that transaction
holds tablets' rows and takes no turn. What changes who is in takes the turn and settles.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, literal, or_, select, update

from fleet.assignments import schedules
from fleet.assignments.materialise import settle
from fleet.db import db, follow, id_set
from fleet.devices.models import Device, DeviceState
from fleet.lessons import granting, members
from fleet.lessons.models import Lesson, LessonTablet, Part
from fleet.lessons.rules import part_of
from fleet.schools import calendar
from fleet.schools.models import Membership, MembershipRole
from fleet.schools.queries import holding

# How long stragglers are looked for: a tablet may lie in a bag over the holidays, and its lesson's row is kept as long.
SOUGHT_FOR = timedelta(days=21)


def _follow_fetched(ids: frozenset[int], now: datetime) -> None:
    """Note that tablets have fetched what lessons gave them."""
    touched = LessonTablet.touched_at
    query = (
        update(LessonTablet)
        .where(
            LessonTablet.device_id.in_(id_set(ids)),
            LessonTablet.granted_at.is_not(None),
            LessonTablet.fetched_at.is_(None),
            LessonTablet.part == Part.IN,
            LessonTablet.lesson_id.in_(select(Lesson.id).where(Lesson.ends_at > now)),
        )
        .values(fetched_at=now, touched_at=func.coalesce(touched, literal(now, touched.type)))
    )
    db.session.execute(query.execution_options(synchronize_session=False))


def _follow_reports(ids: frozenset[int], now: datetime) -> None:
    note_arrivals(ids, now=now)


def note_arrivals(device_ids: Collection[int] | None, *, now: datetime) -> int:
    """Note which tablets have what their lesson gave, and which are back at what they shall have after one.

    Args:
        device_ids: these, which have just reported; None: all that are not back yet, for a job, which finds those whose
            profile was no other in the lesson than outside.
        now: the instant.

    Returns:
        How many rows were noted.
    """
    query = (
        select(
            LessonTablet, Lesson.starts_at, Lesson.ends_at, DeviceState.schedule_digest, DeviceState.applied_digest,
            DeviceState.failures, DeviceState.last_seen_at,
        )
        .join(LessonTablet.lesson)
        .join(DeviceState, DeviceState.device_id == LessonTablet.device_id)
        .where(
            LessonTablet.granted_at.is_not(None),
            LessonTablet.back_at.is_(None),
            Lesson.ends_at > now - SOUGHT_FOR,
            Lesson.starts_at <= now,
        )
    )  # fmt: skip
    if device_ids is not None:
        query = query.where(LessonTablet.device_id.in_(id_set(device_ids)))
    rows = db.session.execute(query).all()
    known = schedules.load({row.schedule_digest for row in rows if row.schedule_digest is not None})
    count = 0
    for row in rows:
        entries = known.get(row.schedule_digest)
        if entries is None or schedules.entry_at(entries, now)["profile"] != row.applied_digest:
            continue
        count += _note(row, heard_at=now if device_ids is not None else row.last_seen_at, now=now)
    db.session.flush()
    return count


def _note(row: Any, *, heard_at: datetime | None, now: datetime) -> bool:
    """Note what a tablet that has what it shall have says about a lesson; returns whether it says anything new."""
    one: LessonTablet = row.LessonTablet
    freed_at = one.freed_at or (row.ends_at if row.ends_at <= now else None)
    if heard_at is None:
        return False
    if freed_at is None:
        if one.arrived_at is not None or one.part is not Part.IN:
            return False
        one.arrived_at, one.failures = now, row.failures
        one.fetched_at, one.touched_at = one.fetched_at or now, one.touched_at or now
        return True
    if one.back_at is not None or heard_at < freed_at:
        return False
    one.back_at = heard_at
    return True


class Follower:
    """Follows tablets that come, go and change hands.

    Args:
        timezone: the schools' local time.
    """

    def __init__(self, timezone: ZoneInfo) -> None:
        self._timezone = timezone

    def follow_presence(self, ids: frozenset[int], now: datetime) -> None:
        """Let tablets join or leave lessons as they come or are heard of elsewhere."""
        rows = _open(ids, (Part.IN, Part.UNSEEN, Part.ELSEWHERE), now)
        if not rows:
            return
        granting.begin_turn()
        rows = _open(ids, (Part.IN, Part.UNSEEN, Part.ELSEWHERE), now)  # others have moved them meanwhile
        known = members.presences([one.device_id for one in rows])
        moves: dict[tuple[int, Part], list[int]] = defaultdict(list)
        lessons = {one.lesson_id: one.lesson for one in rows}
        for one in rows:
            part = part_of(
                known[one.device_id],
                is_absent=False,
                takes_unseen=one.lesson.takes_unseen,
                lesson_starts_at=one.lesson.starts_at,
                day_began_at=members.day_began_at(now, self._timezone),
            )
            # Who is in stays in until heard of elsewhere: the teacher may have said so.
            if part is not one.part and not (one.part is Part.IN and part is Part.UNSEEN):
                moves[one.lesson_id, part].append(one.device_id)
        self._move(moves, lessons, now)

    def _move(self, moves: dict[tuple[int, Part], list[int]], lessons: dict[int, Lesson], now: datetime) -> None:
        if not moves:
            return
        granting.hold({device_id for ones in moves.values() for device_id in ones})
        calendars = calendar.load(self._timezone)
        moved: frozenset[int] = frozenset()
        for (lesson_id, part), device_ids in moves.items():
            lesson = lessons[lesson_id]
            if part is Part.IN:
                moved |= granting.give(lesson, device_ids, calendars=calendars, now=now)
            else:
                inside = set(granting.in_lesson(lesson_id)) & set(device_ids)
                moved |= granting.take_back(lesson, inside, part, now=now)
                granting.write(lesson_id, set(device_ids) - inside, part=part, part_since=now)
        settle(moved, now=now)

    def follow_devices(self, ids: frozenset[int], now: datetime) -> None:
        """Let tablets that changed hands join the lessons of their new pupil's classes, and leave the others."""
        today = now.astimezone(self._timezone).date()
        lessons = {one.id: one for one in db.session.scalars(_concerned(ids, today, now))}
        if not lessons:
            return
        granting.begin_turn()
        rows = {(one.lesson_id, one.device_id): one for one in _open(ids, tuple(Part), now)}
        moves: dict[tuple[int, Part], list[int]] = defaultdict(list)
        for lesson in lessons.values():
            found = {one.device_id: one for one in members.tablets(lesson.class_id, on=today, device_ids=ids)}
            for device_id, member in found.items():
                row = rows.get((lesson.id, device_id))
                if row is not None and row.part is not Part.GONE and row.person_id == member.person_id:
                    continue
                part = part_of(
                    member.presence,
                    is_absent=False,
                    takes_unseen=lesson.takes_unseen,
                    lesson_starts_at=lesson.starts_at,
                    day_began_at=members.day_began_at(now, self._timezone),
                )
                if row is None:
                    row = LessonTablet(lesson_id=lesson.id, device_id=device_id, part=Part.UNSEEN, part_since=now)
                    db.session.add(row)
                row.person_id = member.person_id
                moves[lesson.id, part].append(device_id)
            for device_id in ids - found.keys():
                if (row := rows.get((lesson.id, device_id))) is not None and row.part is not Part.GONE:
                    moves[lesson.id, Part.GONE].append(device_id)
        if moves:
            granting.hold(ids)
            db.session.flush()
        self._move(moves, lessons, now)


def _concerned(device_ids: Collection[int], today: date, now: datetime) -> Select[Any]:
    """Select the lessons that are not over of the classes that tablets belong to, or have a row in."""
    mine = Device.id.in_(id_set(device_ids))
    of_pupils = select(Membership.class_id).join(Device, Device.person_id == Membership.person_id)
    rows = select(LessonTablet.lesson_id).where(LessonTablet.device_id.in_(id_set(device_ids)))
    return select(Lesson).where(
        Lesson.ends_at > now,
        Lesson.ended_at.is_(None),
        or_(
            Lesson.class_id.in_(select(Device.class_id).where(mine)),
            Lesson.class_id.in_(of_pupils.where(mine, Membership.role == MembershipRole.PUPIL, *holding(today))),
            Lesson.id.in_(rows),
        ),
    )


def _open(device_ids: Collection[int], parts: tuple[Part, ...], now: datetime) -> list[LessonTablet]:
    """Return the tablets' rows in lessons that are not over."""
    query = (
        select(LessonTablet)
        .join(LessonTablet.lesson)
        .where(
            LessonTablet.device_id.in_(id_set(device_ids)),
            LessonTablet.part.in_(parts),
            Lesson.ends_at > now,
            Lesson.ended_at.is_(None),
        )
        .order_by(LessonTablet.lesson_id, LessonTablet.device_id)
        .execution_options(populate_existing=True)
    )
    return list(db.session.scalars(query))


@lru_cache
def _follower(timezone: ZoneInfo) -> Follower:
    """Return the same follower however many applications one process makes: each follows once."""
    return Follower(timezone)


def follow_changes(timezone: ZoneInfo) -> None:
    """Have lessons follow what happens to tablets; the application calls this once."""
    follow("fetched", _follow_fetched)
    follow("report", _follow_reports)
    follower = _follower(timezone)
    follow("presence", follower.follow_presence)
    follow("device", follower.follow_devices)
