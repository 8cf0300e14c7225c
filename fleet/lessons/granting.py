"""Giving a lesson's set to tablets, and taking it back: rows of the lesson and stretches of its lease, together.

Whoever calls these has taken the turn ``assignments`` and, with :func:`hold`, the tablets' rows: reports come in
meanwhile, and write a tablet's row before its lessons' rows, too. Afterwards it settles what changed
(``assignments.materialise.settle``).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, select, update

from fleet import orders
from fleet.assignments import leases
from fleet.assignments.leases import Held
from fleet.db import db, id_set, read_again, take_turn
from fleet.devices import states
from fleet.lessons import plans
from fleet.lessons.models import Lesson, LessonGift, LessonTablet, Part
from fleet.lessons.rules import Claim, Settled, settle
from fleet.schools.calendar import Calendar


@dataclass(frozen=True, slots=True)
class Holder:
    """A lesson behind a lease."""

    lesson_id: int
    class_id: int
    starts_at: datetime
    is_planned: bool


def hold(device_ids: Collection[int] | Select[Any]) -> None:
    """Take the tablets' rows, before any row of a lesson is written; all that a transaction will write, at once."""
    states.lock(device_ids if isinstance(device_ids, Select) else id_set(device_ids))


def begin_turn(*, shared: bool = False) -> None:
    """Wait until nobody else changes what tablets shall have; ``shared``: but for those who share, of other tablets."""
    take_turn("assignments", shared=shared)


def give(
    lesson: Lesson,
    device_ids: Collection[int],
    *,
    calendars: Mapping[int | None, Calendar],
    by_hand: bool = False,
    is_longer: bool = False,
    now: datetime,
) -> frozenset[int]:
    """Bring tablets into a lesson from now (or its start) until its end, as far as no other lesson goes before.

    Args:
        lesson: the lesson; its own earlier stretches of these tablets are replaced.
        device_ids: tablets that have a row in it.
        calendars: of the schools.
        by_hand: whether a person hands them over, which goes before everything.
        is_longer: whether they have the set already and only the end moves: what arrived has arrived.
        now: the instant.

    Returns:
        The tablets whose leases changed.
    """
    if not device_ids or lesson.ends_at <= now:
        return frozenset()
    starts_at = max(now, lesson.starts_at)
    own = [gift.lease_id for gift in lesson.given]
    held = leases.held(device_ids, since=starts_at)
    lease_ids = {one.lease_id for ones in held.values() for one in ones}
    if not lease_ids.isdisjoint(own):
        leases.cut(device_ids, at=starts_at, lease_ids=own)
    holders = _holders(lease_ids.difference(own), at=starts_at, calendars=calendars)
    favoured = lesson.plan_id is not None or (
        bool(holders) and lesson.class_id in plans.is_planned([lesson.class_id], at=starts_at, calendars=calendars)
    )
    new = Claim(lesson.id, favoured, lesson.starts_at, starts_at, lesson.ends_at)
    settled: dict[int, Settled] = {}
    for device_id in device_ids:
        claims = [_claim(one, holders[one.lease_id]) for one in held.get(device_id, ()) if one.lease_id in holders]
        settled[device_id] = settle(new, claims, by_hand=by_hand)
    _give_way(settled, holders, taker=lesson.id, at=starts_at, now=now)
    granted = {device_id: one for device_id, one in settled.items() if one.is_granted}
    leases.grant(Held(device_id, own[-1], one.starts_at, one.ends_at) for device_id, one in granted.items())
    _note(lesson, settled, is_longer=is_longer, now=now)
    return frozenset(device_ids)


def _claim(one: Held, holder: Holder) -> Claim:
    return Claim(holder.lesson_id, holder.is_planned, holder.starts_at, one.starts_at, one.ends_at)


def _holders(
    lease_ids: Collection[int], *, at: datetime, calendars: Mapping[int | None, Calendar]
) -> dict[int, Holder]:
    if not lease_ids:
        return {}
    query = (
        select(LessonGift.lease_id, Lesson.id, Lesson.class_id, Lesson.starts_at, Lesson.plan_id)
        .join(LessonGift.lesson)
        .where(LessonGift.lease_id.in_(id_set(lease_ids)))
    )
    rows = db.session.execute(query).all()
    planned = plans.is_planned({row.class_id for row in rows}, at=at, calendars=calendars)
    return {
        row.lease_id: Holder(
            row.id, row.class_id, row.starts_at, is_planned=row.plan_id is not None or row.class_id in planned
        )
        for row in rows
    }


def _give_way(
    settled: Mapping[int, Settled], holders: Mapping[int, Holder], *, taker: int, at: datetime, now: datetime
) -> None:
    """End for some tablets the lessons that give way; their teachers see who has the tablet now."""
    losing: dict[int, list[int]] = defaultdict(list)
    for device_id, one in settled.items():
        for lesson_id in one.yields:
            losing[lesson_id].append(device_id)
    for lesson_id, device_ids in losing.items():
        lease_ids = [lease_id for lease_id, holder in holders.items() if holder.lesson_id == lesson_id]
        leases.cut(device_ids, at=at, lease_ids=lease_ids)
        write(lesson_id, device_ids, part=Part.TAKEN, part_since=at, other_lesson_id=taker, freed_at=at)
        if at <= now:
            orders.recall(order_name(lesson_id), device_ids, now=now)


def _note(lesson: Lesson, settled: Mapping[int, Settled], *, is_longer: bool, now: datetime) -> None:
    """Note in the lesson who is in, from whom it was taken, and who went, or will go, to another lesson."""
    groups: dict[Settled, list[int]] = defaultdict(list)
    for device_id, one in settled.items():
        groups[one].append(device_id)
    for one, device_ids in groups.items():
        values: dict[str, Any] = {}
        if one.is_granted and not is_longer:
            values |= {
                "granted_at": now, "fetched_at": None, "arrived_at": None, "failures": None, "back_at": None,
                "other_lesson_id": one.yields[0] if one.yields else None,
            }  # fmt: skip
        if one.taken_by is None:
            since = case((LessonTablet.part == Part.IN, LessonTablet.part_since), else_=now)
            values |= {"part": Part.IN, "part_since": since, "freed_at": None}
        else:
            until = one.ends_at if one.is_granted else now
            values |= {"part": Part.TAKEN, "part_since": until, "other_lesson_id": one.taken_by, "freed_at": until}
        write(lesson.id, device_ids, **values)


def write(lesson_id: int, device_ids: Collection[int], **values: Any) -> None:
    """Set columns of a lesson's tablets; one statement."""
    mine = (LessonTablet.lesson_id == lesson_id, LessonTablet.device_id.in_(id_set(device_ids)))
    db.session.execute(update(LessonTablet).where(*mine).values(**values).execution_options(synchronize_session=False))
    read_again(LessonTablet)


def free(lesson: Lesson, device_ids: Collection[int], *, now: datetime, **values: Any) -> frozenset[int]:
    """End the lesson for tablets that are in it: they go back to their base, and what was wished in it is recalled.

    Args:
        lesson: the lesson.
        device_ids: tablets that are in it.
        now: the instant.
        values: other columns to set in their rows.

    Returns:
        The tablets whose leases changed.
    """
    if device_ids:
        leases.cut(device_ids, at=now, lease_ids=[gift.lease_id for gift in lesson.given])
        write(lesson.id, device_ids, freed_at=now, **values)
        orders.recall(order_name(lesson.id), device_ids, now=now)
    return frozenset(device_ids)


def order_name(lesson_id: int) -> str:
    """Return the name by which orders know what they were wished within."""
    return f"lesson:{lesson_id}"


def in_lesson(lesson_id: int, *, now: datetime) -> list[int]:
    """Return the tablets that are in a lesson."""
    query = select(LessonTablet.device_id).where(LessonTablet.lesson_id == lesson_id, LessonTablet.is_in(now))
    return list(db.session.scalars(query.order_by(LessonTablet.device_id)))
