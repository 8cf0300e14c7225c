"""Looking at silence: reading what the steps need to know. A fixed number of statements however many tablets there are.

Not here: what follows (:mod:`fleet.compliance.steps`), and writing it down (:mod:`fleet.compliance.silence`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, or_, select

from fleet.compliance import said, steps
from fleet.compliance.models import (
    OF_SILENCE,
    DeviceHabit,
    Finding,
    Incident,
    IncidentMember,
    Question,
)
from fleet.compliance.quiet import Limits, Scene, Span, Standing, Tablet, Totals, expected_seconds, is_due
from fleet.compliance.said import Said
from fleet.db import among, db
from fleet.devices.models import Device, DeviceLife, DevicePresence, DeviceState, Enrolment
from fleet.schools import absences, after_school
from fleet.schools import calendar as calendars
from fleet.schools import queries as schools
from fleet.schools.after_school import Programme
from fleet.schools.calendar import Calendar

LATELY = timedelta(days=3)  # an incident closed since then begins again where the same tablets are quiet again
_EXPLAINED = timedelta(days=60)  # further back, an incident explains no quiet
_YEAR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Week:
    """When tablets of the schools are expected: school, and the after-school programmes by school."""

    calendars: Mapping[int | None, Calendar]
    programmes: Mapping[int, Sequence[Programme]] = field(default_factory=dict)

    @staticmethod
    def load(timezone: ZoneInfo) -> "Week":
        """Read it; a fixed number of statements."""
        return Week(calendars.load(timezone), after_school.everywhere())

    def of(self, school_id: int | None) -> Calendar:
        """Return a school's calendar, the municipality's where it has none."""
        return self.calendars.get(school_id) or self.calendars[None]

    def later(self, school_id: int | None, grade: str | None) -> Calendar | None:
        """Return when the after-school programme for a grade is open at a school; None where there is none."""
        told = self.programmes.get(school_id, ()) if school_id is not None else ()
        fitting = [one for one in told if after_school.is_for([one], grade)]
        return after_school.programme_calendar(self.of(school_id), fitting) if fitting else None

    def since(self, now: datetime, length: timedelta) -> datetime:
        """Return before when a tablet must have been heard last, wherever it is, to have missed so much."""
        schools = [self.calendars[place] for place in self.calendars if place is not None]
        known = set(schools or [self.calendars[None]])
        seconds = max(1, int(length.total_seconds()))
        if self.programmes:  # of two halves, one is at least half
            seconds = max(1, seconds // 2)
            own = (after_school.programme_calendar(self.of(place), told) for place, told in self.programmes.items())
            known |= {one for one in own if one.school_seconds_between(now - _YEAR, now) >= seconds}
        return max(one.subtract_school_seconds(now, seconds) for one in known) + timedelta(seconds=1)


def programme(week: Week, school_id: int | None) -> Calendar | None:
    """Return when a school's after-school programme is open, for whatever grade; None where there is none."""
    told = week.programmes.get(school_id, ()) if school_id is not None else ()
    return after_school.programme_calendar(week.of(school_id), told) if told else None


@dataclass(slots=True)
class Seen:
    """What was read: the scene, and what is out of date in it whatever the steps say."""

    scene: Scene
    stale: list[int] = field(default_factory=list)  # open questions that the tablet has answered by speaking or moving
    incidents: dict[int, Incident] = field(default_factory=dict)


def look(*, now: datetime, timezone: ZoneInfo, limits: Limits) -> Seen:
    """Read all that the steps need: at most fourteen statements.

    Args:
        now: the instant.
        timezone: the schools' local time.
        limits: how much time leads to what.
    """
    week = Week.load(timezone)
    rows = _candidates(week.since(now, limits.joins))
    if not rows:
        return Seen(Scene(now, (), Totals.of(()), (), week.calendars, limits), incidents={})
    classes = schools.basic_classes_of_pupils(now.astimezone(timezone).date())
    reader = _Reader(rows, week, classes, now)
    tablets = [reader.tablet(row) for row in rows]
    totals = Totals.of(_totals(classes))
    seen = Scene(now, tablets, totals, reader.standings(), week.calendars, limits)
    return Seen(seen, reader.stale, reader.incidents)


@dataclass(frozen=True, slots=True)
class One:
    """A single tablet, whether or not it is quiet: its row, its value, its open incident, and who is away with it."""

    row: Any
    tablet: Tablet
    incident: Incident | None
    is_absent: bool


def one(device_id: int, *, now: datetime, timezone: ZoneInfo) -> One:
    """Return a tablet as the steps see it; at most ten statements."""
    row = states_of([device_id])[0]
    on = now.astimezone(timezone).date()
    has_pupil = row.person_id is not None
    classes = schools.basic_classes_of_pupils(on, person_id=row.person_id) if has_pupil else {}
    reader = _Reader([row], Week.load(timezone), classes, now, with_others=False)
    tablet = reader.tablet(row)
    incident = reader.incidents[tablet.incident_id] if tablet.incident_id is not None else None
    return One(row, tablet, incident, reader.is_away(row.person_id, on))


def unchanged(known: Mapping[int, Tablet], device_ids: Collection[int]) -> set[int]:
    """Return which tablets, now that their rows are held, are as they were looked at: unheard, and nobody acted.

    Three statements.

    Args:
        known: tablets as they were looked at.
        device_ids: which of them.
    """
    rows = [row for row in states_of(device_ids) if row.id in known]
    if not rows:
        return set()
    findings, questions = said.findings_of(device_ids), said.questions_of(device_ids, min(heard(row) for row in rows))
    same = set()
    for row in rows:
        was, heard_at = known[row.id], heard(row)
        told = Said.of(findings.get(row.id, ()), questions.get(row.id, ()), heard_at, was.class_id)
        before = was.heard_at, was.is_expected, was.asked, was.silent_id, was.missing_id, was.mute
        is_expected = row.life is DeviceLife.ENROLLED
        if before == (heard_at, is_expected, told.asked, told.silent_id, told.missing_id, told.mute):
            same.add(row.id)
    return same


def heard(row: Any) -> datetime:
    """Return when a tablet was last heard from, by report or by asking, or enrolled, or became known."""
    moments = (row.last_seen_at, row.polled_at, row.enrolled_at)
    found: datetime = max((moment for moment in moments if moment is not None), default=row.created_at)
    return found


def states_of(device_ids: Collection[int] | None = None, *conditions: Any) -> Sequence[Any]:
    """Return tablets' places, lives and when they were heard; one statement.

    Args:
        device_ids: which; None: all that fulfil the conditions.
        conditions: on tablets, their states, enrolments and presences.
    """
    enrolled = and_(Enrolment.device_id == Device.id, Enrolment.ended_at.is_(None))
    query = (
        select(
            Device.id, Device.school_id, Device.class_id, Device.person_id, Device.cart, Device.life,
            Device.created_at, Enrolment.enrolled_at, DeviceState.last_seen_at, DeviceState.desired_digest,
            DeviceState.battery_percent, DevicePresence.polled_at, DevicePresence.is_at_school, DeviceHabit.days,
            DeviceHabit.heard, DeviceHabit.heard_late,
        )
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(Enrolment, enrolled)
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .outerjoin(DeviceHabit, DeviceHabit.device_id == Device.id)
        .order_by(Device.id)
    )  # fmt: skip
    if device_ids is not None:
        query = query.where(among(Device.id, device_ids))
    return db.session.execute(query.where(*conditions)).all()


def inside() -> Select[Any]:
    """Select the tablets that are in an incident; by the few that are open, as members of others are many."""
    standing = select(Incident.id).where(Incident.closed_at.is_(None))
    mine = select(IncidentMember.device_id).where(IncidentMember.incident_id.in_(standing))
    return mine.where(IncidentMember.left_at.is_(None))


def _candidates(latest: datetime) -> Sequence[Any]:
    """Return the enrolled tablets that are quiet, and all about which something is open; one statement."""
    moments = (DeviceState.last_seen_at, DevicePresence.polled_at, Enrolment.enrolled_at)
    is_quiet = and_(*(or_(moment.is_(None), moment < latest) for moment in moments))
    found = select(Finding.device_id).where(Finding.kind.in_(OF_SILENCE))
    is_open = or_(
        Device.id.in_(found.where(Finding.closed_at.is_(None))),  # each by an index of its own: most are long closed
        Device.id.in_(found.where(Finding.is_mute)),
        Device.id.in_(
            select(Question.device_id).where(Question.answered_at.is_(None), Question.withdrawn_at.is_(None))
        ),
        Device.id.in_(inside()),
    )
    return states_of(None, or_(and_(Device.life == DeviceLife.ENROLLED, is_quiet), is_open))


def _totals(classes: Mapping[int, tuple[int, str | None]]) -> Iterable[tuple[Any, ...]]:
    """Return school, class, cart and digest of each enrolled tablet; one statement."""
    columns = (Device.school_id, Device.class_id, Device.person_id, Device.cart, DeviceState.desired_digest)
    query = select(*columns).join(Device.state).where(Device.life == DeviceLife.ENROLLED)
    for row in db.session.execute(query):
        yield row[0], _class_of(row, classes), row[3], row[4], 1


def _class_of(row: Any, classes: Mapping[int, tuple[int, str | None]]) -> int | None:
    own = classes.get(row.person_id, (None, None))[0] if row.person_id is not None else None
    return row.class_id if row.class_id is not None else own


class _Reader:
    """Makes values of rows, with what is open about the tablets.

    Args:
        rows: the tablets.
        week: when they are expected.
        classes: their pupils' classes.
        now: the instant.
        with_others: whether it knows of all members of incidents and of everybody's absence, as the steps need to.
    """

    def __init__(
        self,
        rows: Sequence[Any],
        week: Week,
        classes: Mapping[int, tuple[int, str | None]],
        now: datetime,
        *,
        with_others: bool = True,
    ) -> None:
        self._week, self._classes, self._now = week, classes, now
        self.stale: list[int] = []
        since = min(heard(row) for row in rows)
        self._ids = {row.id for row in rows}
        self._findings = said.findings_of(self._ids)
        self._questions = said.questions_of(self._ids, since)
        self.incidents: dict[int, Incident] = {}
        self._members = self._read_members(now, with_others=with_others)
        timezone = week.calendars[None].timezone
        first, today = (moment.astimezone(timezone).date() for moment in (since, now))
        pupils = None if with_others else {row.person_id for row in rows} - {None}
        self._away = absences.days_away(first, today, person_ids=pupils)

    def _read_members(self, now: datetime, *, with_others: bool) -> Mapping[int, Sequence[Any]]:
        """Return who was in which incident that explains anything still, and note those; one statement."""
        found: dict[int, list[Any]] = defaultdict(list)
        columns = (
            IncidentMember.incident_id,
            IncidentMember.device_id,
            IncidentMember.joined_at,
            IncidentMember.left_at,
        )
        is_member = IncidentMember.incident_id == Incident.id
        if not with_others:
            is_member &= among(IncidentMember.device_id, self._ids)
        query = select(Incident, *columns).outerjoin(IncidentMember, is_member)
        lately = or_(Incident.closed_at.is_(None), Incident.closed_at > now - _EXPLAINED)
        for row in db.session.execute(query.where(lately)):
            self.incidents[row.Incident.id] = row.Incident
            if row.device_id is not None:
                found[row.device_id].append(row)
        return found

    def standings(self) -> list[Standing]:
        """Return the incidents that are open, or were lately."""
        members: dict[int, set[int]] = defaultdict(set)
        for rows in self._members.values():
            for row in rows:
                members[row.incident_id].add(row.device_id)
        return [
            Standing(
                one.id, one.cause, one.school_id, one.most, one.of, one.closed_at is None, frozenset(members[one.id])
            )
            for one in self.incidents.values()
            if one.closed_at is None or one.closed_at > self._now - LATELY
        ]

    def tablet(self, row: Any) -> Tablet:
        """Return the value of a row."""
        heard_at, class_id = heard(row), _class_of(row, self._classes)
        told = Said.of(self._findings.get(row.id, ()), self._questions.get(row.id, ()), heard_at, class_id)
        self.stale += told.stale
        incident_id, is_back = self._incident(row, heard_at)
        calendar = self._week.of(row.school_id)
        grade = self._classes.get(row.person_id, (None, None))[1] if row.person_id is not None else None
        is_late = row.days is not None and steps.is_used_to_late(row.days, row.heard_late.bit_count())
        later = self._week.later(row.school_id, grade) if is_late else None
        spans = self._explained(row, heard_at, calendar)
        missed_s = expected_seconds(calendar, heard_at, self._now, spans, later)
        return Tablet(
            row.id,
            row.school_id,
            class_id,
            heard_at,
            missed_s,
            cart=row.cart,
            digest=row.desired_digest,
            patience=steps.patience(row.days, row.heard.bit_count()) if row.days is not None else 1.0,
            battery_percent=row.battery_percent,
            is_expected=row.life is DeviceLife.ENROLLED,
            is_due=bool(told.mute) or is_due(calendar, heard_at, self._now, spans),  # closed by hand, also on a day off
            asked=told.asked,
            silent_id=told.silent_id,
            missing_id=told.missing_id,
            incident_id=incident_id,
            is_back=is_back,
            mute=told.mute,
        )

    def _incident(self, row: Any, heard_at: datetime) -> tuple[int | None, bool]:
        """Return the open incident a tablet is in, and whether it was heard since, or moved away from it."""
        for member in self._members.get(row.id, ()):
            incident = self.incidents[member.incident_id]
            if member.left_at is None and incident.closed_at is None:
                has_moved = incident.school_id is not None and incident.school_id != row.school_id
                return incident.id, has_moved or heard_at >= member.joined_at
        return None, False

    def is_away(self, person_id: int | None, on: date) -> bool:
        """Whether a pupil is away on a local date."""
        return any(first <= on <= last for first, last in self._away.get(person_id or 0, ()))

    def _explained(self, row: Any, heard_at: datetime, calendar: Calendar) -> list[Span]:
        """Return the spans in which a tablet's quiet has another reason than itself."""
        spans = [
            (datetime.combine(first, time(), calendar.timezone), datetime.combine(last, time.max, calendar.timezone))
            for first, last in self._away.get(row.person_id, ())
        ]
        spans += [
            (self.incidents[one.incident_id].began_at, one.left_at)
            for one in self._members.get(row.id, ())
            if one.left_at is not None and one.left_at > heard_at
        ]
        spans += [
            (one.answered_at, one.excused_until)
            for one in self._questions.get(row.id, ())
            if one.asked_at >= heard_at and one.answered_at is not None and one.excused_until is not None
        ]
        return spans
