"""Lessons as a teacher sees them: before the start, while tablets arrive, and the receipt afterwards.

Only reading. Names of pupils are here, for those who may teach the class; no other module of this area has any.
"""

import enum
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from fleet.access import Permission, Principal, require
from fleet.db import db, id_set
from fleet.devices.models import Device, DevicePresence, DeviceState, Enrolment
from fleet.lessons import forecast, life, members, promises
from fleet.lessons.forecast import Forecast
from fleet.lessons.models import Lesson, LessonGift, LessonTablet, Part
from fleet.lessons.rules import part_of
from fleet.people.models import Account
from fleet.schools.models import Person, SchoolClass


class Stage(enum.StrEnum):
    """Where a lesson is in its life."""

    PLANNED = "planned"
    RUNNING = "running"
    OVER = "over"
    CANCELLED = "cancelled"


class State(enum.StrEnum):
    """How a tablet stands in a lesson: on its way in, out of it and why, or on its way back."""

    WAITING = "waiting"
    FETCHED = "fetched"
    APPLIED = "applied"
    FAILED = "failed"  # applied, but for some settings
    ABSENT = "absent"
    UNSEEN = "unseen"
    ELSEWHERE = "elsewhere"
    TAKEN = "taken"
    RELEASED = "released"
    GONE = "gone"
    BACK = "back"
    STRAGGLER = "straggler"
    UNTOUCHED = "untouched"  # the lesson is over, and it never had anything of it


_INSIDE = (State.WAITING, State.FETCHED, State.APPLIED, State.FAILED)  # has the lesson, or shall have it


@dataclass(frozen=True, slots=True)
class Other:
    """Another lesson that has a tablet, or had it."""

    lesson_id: int
    class_title: str
    holder: str | None
    is_over: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A tablet in a lesson.

    Args:
        device_id: the tablet.
        serial: its serial.
        asset_tag: the school's own mark.
        pupil: whose it is; None where it stands in the class.
        state: how it stands.
        since: since when, as far as it is known.
        last_seen_at: when it last reported.
        other: the other lesson, where one has it, had it or will have it.
        leaves_at: when ``other`` will have it, where that lesson is still to come.
        failures: settings it could not put into force: key and reason.
        forecast_percent: what was foreseen for it.
        channel: how it speaks to us, None where it does not now.
        away_since: since when it is out of contact, where that may keep it in the lesson.
    """

    device_id: int
    serial: str
    asset_tag: str | None
    pupil: str | None
    state: State
    since: datetime | None
    last_seen_at: datetime | None
    other: Other | None
    leaves_at: datetime | None
    failures: Sequence[Mapping[str, Any]]
    forecast_percent: int | None
    channel: str | None = None
    away_since: datetime | None = None

    @property
    def needs_network(self) -> bool:
        """Whether it ends the lesson only with a network."""
        return promises.needs_network(self.channel)


@dataclass(frozen=True, slots=True)
class View:
    """A lesson with its tablets; ``counts`` by state, ``expected``: how many were foreseen to have it at once."""

    lesson: Lesson
    stage: Stage
    rows: Sequence[Row]
    counts: Mapping[State, int]
    expected: int

    @property
    def meant(self) -> int:
        """How many tablets have the lesson or shall have it."""
        return sum(self.counts.get(one, 0) for one in _INSIDE)

    @property
    def arrived(self) -> int:
        """How many have it."""
        return self.counts.get(State.APPLIED, 0) + self.counts.get(State.FAILED, 0)

    @property
    def touched(self) -> int:
        """After the lesson: how many had it."""
        return self.counts.get(State.BACK, 0) + self.counts.get(State.STRAGGLER, 0)

    @property
    def needing_network(self) -> int:
        """How many have yet to end the lesson and do so only with a network."""
        return sum(row.needs_network and row.state in {*_INSIDE, State.STRAGGLER} for row in self.rows)

    @property
    def cut_off(self) -> list[Row]:
        """Those of them that have the lesson and are out of contact: they keep it until they have a network."""
        return [row for row in self.rows if row.away_since is not None]


def stage_of(lesson: Lesson, now: datetime) -> Stage:
    """Return where a lesson is in its life."""
    if lesson.ended_at is not None and lesson.ended_at < lesson.starts_at:
        return Stage.CANCELLED
    if lesson.ended_at is not None or lesson.ends_at <= now:
        return Stage.OVER
    return Stage.PLANNED if lesson.starts_at > now else Stage.RUNNING


def view(lesson_id: int, *, by: Principal, now: datetime) -> View:
    """Return a lesson with its tablets; a bounded number of statements.

    Raises:
        NotFoundError: there is none, or not for ``by``.
    """
    lesson = life.get(lesson_id, by=by)
    stage = stage_of(lesson, now)
    found = db.session.execute(
        select(
            LessonTablet,
            Device,
            Person,
            DeviceState.last_seen_at,
            Enrolment.channel,
            DevicePresence.polled_at,
            DevicePresence.due_at,
        )
        .join(LessonTablet.device)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Person, Person.id == LessonTablet.person_id)
        .outerjoin(Enrolment, (Enrolment.device_id == Device.id) & Enrolment.ended_at.is_(None))
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .where(LessonTablet.lesson_id == lesson.id)
        .execution_options(populate_existing=True)
    ).all()
    others = _others({one.LessonTablet.other_lesson_id for one in found} - {None}, now)
    rows = [_row(one, lesson, others, now) for one in found]
    rows.sort(key=lambda row: (row.pupil or "", row.serial))
    expected = sum(one.LessonTablet.forecast_percent or 0 for one in found)
    return View(lesson, stage, rows, Counter(row.state for row in rows), round(expected / 100))


def _row(found: Any, lesson: Lesson, others: Mapping[int, Other], now: datetime) -> Row:
    one: LessonTablet = found.LessonTablet
    person: Person | None = found.Person
    state, since = _state(one, lesson, now)
    has_it = state in {State.FETCHED, State.APPLIED, State.FAILED, State.STRAGGLER}
    heard = promises.Heard(found.polled_at, found.due_at, found.last_seen_at)
    return Row(
        device_id=one.device_id,
        serial=found.Device.serial,
        asset_tag=found.Device.asset_tag,
        pupil=f"{person.given_name} {person.family_name}" if person is not None else None,
        state=state,
        since=since,
        last_seen_at=found.last_seen_at,
        other=others.get(one.other_lesson_id) if one.other_lesson_id is not None else None,
        leaves_at=one.part_since if one.part is Part.TAKEN and one.is_in(now) else None,
        failures=one.failures or (),
        forecast_percent=one.forecast_percent,
        channel=found.channel,
        away_since=promises.away_since(found.channel, heard, now) if has_it else None,
    )


def _state(one: LessonTablet, lesson: Lesson, now: datetime) -> tuple[State, datetime | None]:
    if stage_of(lesson, now) in {Stage.OVER, Stage.CANCELLED}:
        if one.touched_at is None:
            return State.UNTOUCHED, None
        if one.back_at is not None:
            return State.BACK, one.back_at
        return State.STRAGGLER, one.freed_at or lesson.ends_at
    if not one.is_in(now):
        return State(one.part.value), one.part_since
    if one.arrived_at is not None:
        return (State.FAILED if one.failures else State.APPLIED), one.arrived_at
    return (State.FETCHED, one.fetched_at) if one.fetched_at is not None else (State.WAITING, one.granted_at)


def _others(lesson_ids: Collection[int], now: datetime) -> dict[int, Other]:
    if not lesson_ids:
        return {}
    query = (
        select(Lesson.id, SchoolClass.title, Account.name, Lesson.ends_at, Lesson.ended_at)
        .join(Lesson.school_class)
        .outerjoin(Account, Account.id == Lesson.holder_id)
        .where(Lesson.id.in_(id_set(lesson_ids)))
    )
    return {
        row.id: Other(row.id, row.title, row.name, row.ended_at is not None or row.ends_at <= now)
        for row in db.session.execute(query)
    }


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tablet before the start: whose it is, whether it would be in, and how likely it has the set at once."""

    device_id: int
    person_id: int | None
    serial: str
    asset_tag: str | None
    pupil: str | None
    part: Part
    polled_at: datetime | None
    forecast: Forecast | None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A class before a lesson: "27 of 28 within 15 s; 1 was last heard of yesterday"."""

    candidates: Sequence[Candidate]
    expected: int

    @property
    def coming(self) -> int:
        """How many would be in."""
        return sum(one.part is Part.IN for one in self.candidates)

    @property
    def channels(self) -> list[str]:
        """How those speak to us that would be in, or may come in later."""
        return [one.channel for one in self.candidates if one.part is not Part.ABSENT and one.channel is not None]

    @property
    def needing_network(self) -> int:
        """How many of them end the lesson only with a network."""
        return promises.needing(self.channels)


def preview(
    school_class: SchoolClass,
    *,
    absent: Collection[int] = (),
    takes_unseen: bool = False,
    by: Principal,
    now: datetime,
    timezone: ZoneInfo,
) -> Preview:
    """Return what a lesson started now would reach; a bounded number of statements.

    Args: as for :func:`fleet.lessons.life.start`.

    Raises:
        ForbiddenError: ``by`` may not teach this class.
    """
    require(by, Permission.TEACH, school_id=school_class.school_id, class_id=school_class.id)
    day_began_at = members.day_began_at(now, timezone)
    found = members.tablets(school_class.id, on=day_began_at.date())
    contacts = {one.device_id: forecast.contact_of(one) for one in found}
    told = forecast.forecasts(
        list(contacts), contacts=contacts, school_id=school_class.school_id, now=now, timezone=timezone
    )
    candidates = []
    for one in found:
        part = part_of(
            one.presence, is_absent=one.person_id in absent, takes_unseen=takes_unseen, lesson_starts_at=now,
            day_began_at=day_began_at,
        )  # fmt: skip
        candidates.append(
            Candidate(
                one.device_id, one.person_id, one.serial, one.asset_tag, one.pupil, part, one.presence.polled_at,
                told.get(one.device_id), one.channel,
            )
        )  # fmt: skip
    candidates.sort(key=lambda one: (one.pupil or "", one.serial))
    coming = {one.device_id: one.forecast for one in candidates if one.part is Part.IN and one.forecast is not None}
    return Preview(candidates, forecast.summary(coming).expected)


def listed(
    *,
    by: Principal,
    now: datetime,
    school_id: int | None = None,
    school_class: SchoolClass | None = None,
    with_over: bool = False,
    limit: int = 100,
) -> Sequence[Lesson]:
    """Return the lessons ``by`` may act in: those that run first, then planned ones, then with ``with_over`` the past.

    A bounded number of statements.
    """
    query = select(Lesson).options(
        joinedload(Lesson.school_class).joinedload(SchoolClass.school),
        joinedload(Lesson.holder),
        selectinload(Lesson.given).joinedload(LessonGift.set),
    )
    visible = by.school_ids(Permission.TEACH)
    if visible is not None:
        is_held = and_(Lesson.holder_id == by.account_id, _is_at({grant.school_id for grant in by.grants}))
        query = query.where(or_(is_held, Lesson.class_id.in_(by.own_class_ids), _is_at(visible)))
    if school_id is not None:
        query = query.where(_is_at({school_id}))
    if school_class is not None:
        query = query.where(Lesson.class_id == school_class.id)
    if not with_over:
        query = query.where(Lesson.ends_at > now, Lesson.ended_at.is_(None))
    is_over = or_(Lesson.ended_at.is_not(None), Lesson.ends_at <= now)
    stage = case((is_over, 2), (Lesson.starts_at > now, 1), else_=0)
    query = query.order_by(stage, Lesson.starts_at.desc(), Lesson.id.desc()).limit(limit)
    return db.session.scalars(query).unique().all()


def _is_at(school_ids: Collection[int | None]) -> ColumnElement[bool]:
    """Return the condition that a lesson's class is of one of these schools."""
    return Lesson.class_id.in_(select(SchoolClass.id).where(SchoolClass.school_id.in_(school_ids)))


def counts(lesson_ids: Sequence[int], *, now: datetime) -> dict[int, tuple[int, int]]:
    """Return for lessons how many tablets are in and how many of those have the set; one statement."""
    query = (
        select(LessonTablet.lesson_id, func.count(), func.count(LessonTablet.arrived_at))
        .where(LessonTablet.lesson_id.in_(id_set(lesson_ids)), LessonTablet.is_in(now))
        .group_by(LessonTablet.lesson_id)
    )
    return {row[0]: (row[1], row[2]) for row in db.session.execute(query)}
