"""One pupil or some in a lesson: absent after all, here after all, let go, handed from one lesson to another."""

from collections.abc import Collection, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import label, select

from fleet import audit
from fleet.access import Principal
from fleet.assignments.materialise import settle
from fleet.db import db, id_set
from fleet.devices.models import Device
from fleet.errors import InvalidError, NotFoundError
from fleet.lessons import granting, life
from fleet.lessons.models import Lesson, LessonTablet, Part
from fleet.schools import calendar
from fleet.schools.models import Person


def named(lesson_id: int, names: Sequence[str], *, by: Principal) -> list[int]:
    """Return the tablets of a lesson that are meant: by serial, asset tag, or user name of whose they are.

    Raises:
        NotFoundError: there is no such lesson for ``by``; or a name means none of its tablets, or an asset tag several.
            Data has the name's ``place`` among the names, from 1, and does not repeat it: it may be a person's.
    """
    lesson = life.get(lesson_id, by=by)
    query = (
        select(LessonTablet.device_id, Device.serial, Device.asset_tag, Person.username)
        .join(LessonTablet.device)
        .outerjoin(Person, Person.id == LessonTablet.person_id)
        .where(LessonTablet.lesson_id == lesson.id, LessonTablet.part != Part.GONE)
    )
    rows = db.session.execute(query).all()
    found: list[int] = []
    for place, name in enumerate(names, start=1):
        wanted = _folded(name)
        serial = [row.device_id for row in rows if _folded(row.serial) == wanted]
        tag = [row.device_id for row in rows if _folded(row.asset_tag) == wanted]
        pupil = [row.device_id for row in rows if _folded(row.username) == wanted]
        meant = serial or tag or pupil  # a pupil may have two
        if not meant or (not serial and len(tag) > 1):
            reason = "several" if meant else "none"
            raise NotFoundError(kind="tablet in the lesson", lesson_id=lesson_id, place=place, reason=reason)
        found += meant
    return found


def _folded(name: str | None) -> str | None:
    """Return a name as it is compared: here, as databases differ on what is one letter in two cases."""
    return name.strip().casefold() if name is not None else None


def leave_out(lesson_id: int, device_ids: Collection[int], part: Part, *, by: Principal, now: datetime) -> Lesson:
    """Leave tablets out for the rest of a lesson: their pupils are absent, or are let go.

    Args:
        lesson_id: the lesson.
        device_ids: tablets of it.
        part: ``absent`` or ``released``.
        by: the teacher.
        now: the instant.

    Raises:
        NotFoundError: there is no such lesson or tablet in it, or not for ``by``.
        LessonOverError: it is over.
    """
    if part not in {Part.ABSENT, Part.RELEASED}:
        raise InvalidError(kind="lesson", reason="tablets are left out as absent or released", found=part.value)
    lesson = life.running(lesson_id, by=by, now=now)
    parts = _parts(lesson, device_ids, now)
    granting.hold(device_ids)
    inside = [device_id for device_id, one in parts.items() if one is Part.IN]
    moved = granting.free(lesson, inside, part=part, part_since=now, now=now)
    granting.write(lesson.id, set(device_ids) - set(inside), part=part, part_since=now)
    settle(moved, now=now)
    audit.record(by, f"lessons.{part.value}", subject=f"lesson:{lesson.id}", now=now, count=len(parts))
    return lesson


def bring_in(
    lesson_id: int, device_ids: Collection[int], *, by: Principal, now: datetime, timezone: ZoneInfo
) -> Lesson:
    """Bring tablets into a lesson, whatever kept them out: a person's word goes before every rule but one.

    A tablet that another lesson has comes over from there. One that was last heard of outside the school's networks
    comes in as well: the teacher sees the pupil. It goes out again by itself if it is heard of out there again.

    Raises:
        NotFoundError: there is no such lesson or tablet in it, or not for ``by``.
        LessonOverError: it is over.
    """
    lesson = life.running(lesson_id, by=by, now=now)
    _bring(lesson, device_ids, by=by, now=now, timezone=timezone)
    return lesson


def hand_to(
    lesson_id: int, device_ids: Collection[int], *, other_id: int, by: Principal, now: datetime, timezone: ZoneInfo
) -> Lesson:
    """Hand tablets from a lesson that ``by`` holds to another lesson that wants them: the other way of one tap.

    Args:
        lesson_id: the lesson that has them.
        device_ids: the tablets.
        other_id: the lesson that shall have them; it means them, and its teacher has not left them out.
        by: the teacher of the lesson that has them.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        NotFoundError: there is no such lesson, or the tablets are not in both.
        LessonOverError: one of the two is over.
    """
    mine = life.running(lesson_id, by=by, now=now)
    if any(part is not Part.IN for part in _parts(mine, device_ids, now).values()):
        raise NotFoundError(kind="tablet in the lesson", lesson_id=lesson_id)
    other = db.session.get(Lesson, other_id, populate_existing=True)
    if other is None:
        raise NotFoundError(kind="lesson", name=str(other_id))
    # First: when a lesson ends that does not mean them is nobody's business here.
    if not {Part.ABSENT, Part.RELEASED}.isdisjoint(_parts(other, device_ids, now).values()):
        raise NotFoundError(kind="tablet in the lesson", lesson_id=other_id)
    life.require_running(other, now=now)
    _bring(other, device_ids, by=by, now=now, timezone=timezone)
    return other


def _bring(lesson: Lesson, device_ids: Collection[int], *, by: Principal, now: datetime, timezone: ZoneInfo) -> None:
    parts = _parts(lesson, device_ids, now)
    granting.hold(device_ids)
    moved = granting.give(lesson, parts, calendars=calendar.load(timezone), by_hand=True, now=now)
    settle(moved, now=now)
    audit.record(by, "lessons.brought-in", subject=f"lesson:{lesson.id}", now=now, count=len(parts))


def _parts(lesson: Lesson, device_ids: Collection[int], now: datetime) -> dict[int, Part]:
    """Return what tablets are in a lesson now.

    Raises:
        NotFoundError: one of them is none of the lesson's.
    """
    query = select(LessonTablet.device_id, LessonTablet.part, label("is_in", LessonTablet.is_in(now))).where(
        LessonTablet.lesson_id == lesson.id,
        LessonTablet.device_id.in_(id_set(device_ids)),
        LessonTablet.part != Part.GONE,
    )
    found = {row.device_id: Part.IN if row.is_in else row.part for row in db.session.execute(query)}
    missing = set(device_ids) - found.keys()
    if missing or not found:
        names = ", ".join(str(one) for one in sorted(missing))
        raise NotFoundError(kind="tablet in the lesson", name=names, lesson_id=lesson.id)
    return found
