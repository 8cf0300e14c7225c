"""Lessons follow what happens: tablets fetch, report, come, leave the network, change hands.

Each follower is called before the commit of the transaction in which it happened, with all tablets it happened to, and
costs one statement where none of them is in a lesson. What a report or a fetch says is only noted: that transaction
holds tablets' rows and takes no turn. What changes who is in takes the turn first, and settles.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, func, insert, label, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, selectinload

from fleet.assignments import schedules
from fleet.assignments.materialise import settle
from fleet.db import among, db, follow, id_set, read_again
from fleet.devices.models import Device, DeviceState
from fleet.lessons import granting, members
from fleet.lessons.models import Lesson, LessonTablet, Part
from fleet.lessons.rules import Presence, part_of
from fleet.schools import calendar
from fleet.schools.models import Membership, MembershipRole
from fleet.schools.queries import holding

# How long stragglers are looked for: a tablet may lie in a bag over the holidays.
SOUGHT_FOR = timedelta(days=21)


def _follow_fetched(ids: frozenset[int], now: datetime) -> None:
    """Note that tablets have fetched what lessons gave them."""
    query = (
        update(LessonTablet)
        .where(
            among(LessonTablet.device_id, ids),
            LessonTablet.granted_at.is_not(None),
            LessonTablet.fetched_at.is_(None),
            LessonTablet.is_in(now),
            LessonTablet.lesson_id.in_(select(Lesson.id).where(Lesson.ends_at > now)),
            # What was handed out may be older than what a lesson has given since.
            LessonTablet.device_id.in_(
                select(DeviceState.device_id).where(DeviceState.fetched_version == DeviceState.config_version)
            ),
        )
        .values(fetched_at=now, touched_at=_first(LessonTablet.touched_at, now))
    )
    db.session.execute(query.execution_options(synchronize_session=False))


def _follow_reports(ids: frozenset[int], now: datetime) -> None:
    note_arrivals(ids, now=now)


def note_arrivals(device_ids: Collection[int] | None, *, now: datetime) -> int:
    """Note which tablets have what their lesson gave, and which are back at what they shall have after one.

    Args:
        device_ids: these, which have just reported, so that their rows are held; None: all that are not back yet, for
            a job, which finds those whose profile was no other in the lesson than outside.
        now: the instant.

    Returns:
        How many rows were noted.
    """
    arrived, back = _news(device_ids, now)
    if device_ids is None and (arrived or back):
        held = {one.device_id for one in (*arrived, *back)}
        granting.hold(held)
        arrived, back = _news(held, now)  # as it is now that nobody else writes them
    _write(
        arrived,
        arrived_at=now,
        failures=_of_tablet(DeviceState.failures),
        fetched_at=_first(LessonTablet.fetched_at, now),
        touched_at=_first(LessonTablet.touched_at, now),
    )
    _write(back, back_at=_of_tablet(DeviceState.last_seen_at))
    return len(arrived) + len(back)


def _news(device_ids: Collection[int] | None, now: datetime) -> tuple[list[Any], list[Any]]:
    """Return the rows of tablets that have what their lesson gave, and of those that are back, not noted yet."""
    one = LessonTablet
    query = (
        select(
            one.id, one.device_id, label("is_in", one.is_in(now)), one.freed_at, one.arrived_at, Lesson.ends_at,
            DeviceState.schedule_digest, DeviceState.applied_digest, DeviceState.last_seen_at,
        )
        .join(LessonTablet.lesson)
        .join(DeviceState, DeviceState.device_id == LessonTablet.device_id)
        .where(
            LessonTablet.granted_at.is_not(None),
            LessonTablet.back_at.is_(None),
            Lesson.ends_at > now - SOUGHT_FOR,
            Lesson.starts_at <= now,
            or_(one.arrived_at.is_(None), one.freed_at <= now, Lesson.ends_at <= now),
        )
    )  # fmt: skip
    if device_ids is not None:
        query = query.where(LessonTablet.device_id.in_(id_set(device_ids)))
    rows = db.session.execute(query).all()
    known = schedules.load({row.schedule_digest for row in rows if row.schedule_digest is not None})
    arrived: list[Any] = []
    back: list[Any] = []
    for row in rows:
        entries, freed_at = known.get(row.schedule_digest), row.freed_at or row.ends_at
        if entries is None or schedules.entry_at(entries, now)["profile"] != row.applied_digest:
            continue
        if freed_at > now:
            arrived += [row] if row.is_in and row.arrived_at is None else []
        elif row.last_seen_at is not None and row.last_seen_at >= freed_at:
            back.append(row)
    return arrived, back


def _first(column: InstrumentedAttribute[datetime | None], now: datetime) -> Any:
    """Return what stands there already, else now."""
    return func.coalesce(column, literal(now, column.type))


def _of_tablet(column: InstrumentedAttribute[Any]) -> Any:
    """Select what the row of the tablet says."""
    return select(column).where(DeviceState.device_id == LessonTablet.device_id).scalar_subquery()


def _write(rows: Collection[Any], **values: Any) -> None:
    """Set columns of lessons' tablets; one statement."""
    if rows:
        query = update(LessonTablet).where(LessonTablet.id.in_(id_set(row.id for row in rows))).values(**values)
        db.session.execute(query.execution_options(synchronize_session=False))
        read_again(LessonTablet)


class Follower:
    """Follows tablets that come, go and change hands.

    Args:
        timezone: the schools' local time.
    """

    def __init__(self, timezone: ZoneInfo) -> None:
        self._timezone = timezone

    def follow_presence(self, ids: frozenset[int], now: datetime) -> None:
        """Let tablets join or leave lessons as they come or are heard of elsewhere."""
        # First the turn: a lesson that is being started has looked for these tablets before they came, and is not to
        # be seen yet.
        granting.begin_turn()
        rows = _open(ids, (Part.UNSEEN, Part.ELSEWHERE), now)
        if not rows:
            return
        lessons = _lessons({one.lesson_id for one in rows})
        known = members.presences([one.device_id for one in rows])
        moves: dict[tuple[int, Part], list[int]] = defaultdict(list)
        for one in rows:
            part = self._part(known[one.device_id], lessons[one.lesson_id], now)
            before = Part.IN if one.is_in else one.part
            # Who is in stays in until heard of elsewhere: the teacher may have said so.
            if part is not before and not (before is Part.IN and part is Part.UNSEEN):
                moves[one.lesson_id, part].append(one.device_id)
        if moves:
            granting.hold({device_id for ones in moves.values() for device_id in ones})
            self._move(moves, lessons, now)

    def _part(self, presence: Presence, lesson: Lesson, now: datetime) -> Part:
        return part_of(
            presence,
            is_absent=False,
            takes_unseen=lesson.takes_unseen,
            lesson_starts_at=lesson.starts_at,
            day_began_at=members.day_began_at(now, self._timezone),
        )

    def _move(self, moves: dict[tuple[int, Part], list[int]], lessons: dict[int, Lesson], now: datetime) -> None:
        """Move tablets, whose rows the caller holds, into lessons and out of them."""
        calendars = calendar.load(self._timezone)
        moved: frozenset[int] = frozenset()
        # First who leaves: a lesson that a tablet has left has no say in which other one has it.
        for (lesson_id, part), device_ids in sorted(moves.items(), key=lambda move: move[0][1] is Part.IN):
            lesson = lessons[lesson_id]
            if part is Part.IN:
                moved |= granting.give(lesson, device_ids, calendars=calendars, now=now)
            else:
                inside = set(granting.in_lesson(lesson_id, now=now)) & set(device_ids)
                moved |= granting.free(lesson, inside, part=part, part_since=now, now=now)
                granting.write(lesson_id, set(device_ids) - inside, part=part, part_since=now)
        settle(moved, now=now)

    def follow_devices(self, ids: frozenset[int], now: datetime) -> None:
        """Let tablets that changed hands join the lessons of their new pupil's classes, and leave the others."""
        granting.begin_turn()
        today = now.astimezone(self._timezone).date()
        lessons = _lessons(db.session.scalars(_concerned(ids, today, now)))
        if not lessons:
            return
        rows: dict[int, dict[int, Any]] = defaultdict(dict)
        for one in _open(ids, tuple(Part), now):
            rows[one.lesson_id][one.device_id] = one
        moves: dict[tuple[int, Part], list[int]] = defaultdict(list)
        for lesson in lessons.values():
            for device_id, part in self._changes(lesson, ids, rows[lesson.id], now):
                moves[lesson.id, part].append(device_id)
        if not moves:
            return
        granting.hold(ids)
        fresh = [
            {"lesson_id": lesson_id, "device_id": device_id, "part": Part.UNSEEN, "part_since": now}
            for (lesson_id, _part), device_ids in moves.items()
            for device_id in device_ids
            if device_id not in rows[lesson_id]
        ]
        if fresh:
            db.session.execute(insert(LessonTablet).returning(LessonTablet.id), fresh)
        whose = select(Device.person_id).where(Device.id == LessonTablet.device_id).scalar_subquery()
        for (lesson_id, part), device_ids in moves.items():
            if part is not Part.GONE:
                granting.write(lesson_id, device_ids, person_id=whose)
        self._move(moves, lessons, now)

    def _changes(
        self, lesson: Lesson, ids: frozenset[int], rows: Mapping[int, Any], now: datetime
    ) -> Iterator[tuple[int, Part]]:
        """Tell which of these tablets the lesson means newly or no more, and what they are in it now."""
        found = members.tablets(lesson.class_id, on=now.astimezone(self._timezone).date(), device_ids=ids)
        for one in found:
            row = rows.get(one.device_id)
            if row is None or row.part is Part.GONE or row.person_id != one.person_id:
                yield one.device_id, self._part(one.presence, lesson, now)
        for device_id in rows.keys() - {one.device_id for one in found}:
            if rows[device_id].part is not Part.GONE:
                yield device_id, Part.GONE


def _concerned(device_ids: Collection[int], today: date, now: datetime) -> Select[Any]:
    """Select the ids of lessons that are not over of the classes that tablets belong to, or have a row in."""
    mine = among(Device.id, device_ids)
    of_pupils = select(Membership.class_id).join(Device, Device.person_id == Membership.person_id)
    is_open = (Lesson.ends_at > now, Lesson.ended_at.is_(None))
    rows = select(LessonTablet.lesson_id).join(LessonTablet.lesson)
    rows = rows.where(among(LessonTablet.device_id, device_ids), *is_open)  # of all that ever were few are
    return select(Lesson.id).where(
        *is_open,
        or_(
            Lesson.class_id.in_(select(Device.class_id).where(mine)),
            Lesson.class_id.in_(of_pupils.where(mine, Membership.role == MembershipRole.PUPIL, *holding(today))),
            Lesson.id.in_(rows),
        ),
    )


def _lessons(lesson_ids: Iterable[int]) -> dict[int, Lesson]:
    """Return lessons with what they gave, as they stand; two statements, or none."""
    given = set(lesson_ids)
    if not given:
        return {}
    query = select(Lesson).where(Lesson.id.in_(id_set(given))).order_by(Lesson.id)
    query = query.options(selectinload(Lesson.given)).execution_options(populate_existing=True)
    return {one.id: one for one in db.session.scalars(query)}


def _open(device_ids: Collection[int], parts: tuple[Part, ...], now: datetime) -> Sequence[Any]:
    """Return the tablets' rows in lessons that are not over: those that are in, and those of these parts."""
    one = LessonTablet
    query = (
        select(one.lesson_id, one.device_id, one.person_id, one.part, label("is_in", one.is_in(now)))
        .join(LessonTablet.lesson)
        .where(
            among(LessonTablet.device_id, device_ids),
            or_(LessonTablet.is_in(now), LessonTablet.part.in_(parts)),
            Lesson.ends_at > now,
            Lesson.ended_at.is_(None),
        )
        .order_by(LessonTablet.lesson_id, LessonTablet.device_id)
    )
    return db.session.execute(query).all()


def follow_changes(timezone: ZoneInfo) -> None:
    """Have lessons follow what happens to tablets; the application calls this once."""
    follow("fetched", _follow_fetched)
    follow("report", _follow_reports)
    follower = Follower(timezone)
    follow("presence", follower.follow_presence)
    follow("device", follower.follow_devices)
