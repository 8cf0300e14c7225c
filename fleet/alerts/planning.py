"""Planning: which letter tells whom of what, and which webhook. A job does it every minute, one at a time.

Invariants: a reader is told of an event in one letter (the key of :class:`AlertDelivery`), also where the job runs
twice; an event joins only a letter that nobody has taken yet, and one that slips into a letter that was written before
is planned anew when that is sent (:mod:`fleet.alerts.sending`). What is raised reaches webhooks at once, at any hour.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select

from fleet.alerts import events, hook_messages, letters, moments, readers, topics
from fleet.alerts.models import (
    AlertDelivery,
    AlertEvent,
    AlertTopic,
    Delivery,
    Letter,
    LetterKind,
    LetterState,
    Webhook,
)
from fleet.alerts.readers import Hears, Readers
from fleet.compliance.models import Severity
from fleet.db import among, among_texts, db, id_set, insert_all_new, take_turn
from fleet.devices.models import Device
from fleet.schools import calendar
from fleet.schools.calendar import Calendar
from fleet.schools.models import School, SchoolClass

AT_ONCE = 2_000  # events in one transaction
_ESCALATES = (AlertTopic.SERIOUS, AlertTopic.MISSING, AlertTopic.INCIDENTS)
Place = tuple[int, int | None]  # account and school


@dataclass(frozen=True, slots=True)
class Planned:
    """What was planned, in numbers."""

    events: int = 0
    letters: int = 0
    messages: int = 0
    escalated: int = 0


def plan(*, now: datetime, timezone: ZoneInfo) -> Planned:
    """Make letters and messages of what has happened; call it again until it finds nothing more.

    Args:
        now: the instant.
        timezone: the schools' local time.
    """
    take_turn("alerts-plan")
    events.note_jobs(now=now, timezone=timezone)
    calendars = calendar.load(timezone)
    escalated = _escalate(calendars, now)
    db.session.flush()
    messages = _tell_webhooks(now)
    waiting = _waiting(now)
    made = 0
    if waiting:
        known = readers.load(today=now.astimezone(timezone).date(), about=waiting)
        made = _Round(known, calendars, now, letters.sender_domain()).plan(waiting)
        for event in waiting:
            event.planned_at = now
    db.session.flush()
    return Planned(len(waiting), made, messages, escalated)


def _waiting(now: datetime) -> Sequence[AlertEvent]:
    is_loud = or_(AlertEvent.quiet_until.is_(None), AlertEvent.quiet_until <= now)
    query = select(AlertEvent).where(AlertEvent.planned_at.is_(None), AlertEvent.ended_at.is_(None), is_loud)
    return db.session.scalars(query.order_by(AlertEvent.id).limit(AT_ONCE)).all()


def _escalate(calendars: Mapping[int | None, Calendar], now: datetime) -> int:
    """Have what is serious go one role up where nobody has answered for a school day; returns how many."""
    query = select(AlertEvent).where(
        AlertEvent.severity == Severity.SERIOUS,
        AlertEvent.ended_at.is_(None),
        AlertEvent.escalated_at.is_(None),
        AlertEvent.planned_at.is_not(None),
        AlertEvent.topic.in_(_ESCALATES),
    )
    found = 0
    for event in db.session.scalars(query):
        if event.quiet_until is not None and event.quiet_until > now:
            continue
        since = max(event.raised_at, event.quiet_until or event.raised_at)
        of_school = calendars.get(event.school_id) or calendars[None]
        if moments.is_unanswered(of_school, since, now):
            event.escalated_at, event.planned_at = now, None
            found += 1
    return found


@dataclass(slots=True)
class _Round:
    """One planning of letters."""

    known: Readers
    calendars: Mapping[int | None, Calendar]
    now: datetime
    domain: str
    wanted: dict[str, Letter] = field(default_factory=dict)  # by key
    told: list[tuple[AlertEvent, Hears, str]] = field(default_factory=list)  # in the letter of this key
    gathering: dict[Place, list[Letter]] = field(default_factory=dict)

    def plan(self, waiting: Sequence[AlertEvent]) -> int:
        """Make and fill letters; returns how many are new."""
        already = self._already(waiting)
        self._find_gathering()
        for event in waiting:
            for hears in self.known.of(event):
                if (event.id, hears.account_id) not in already:
                    self.told.append((event, hears, self._letter(event, hears)))
        ids, made = self._keep()
        rows = [
            {
                "event_id": event.id, "account_id": hears.account_id, "letter_id": ids[key],
                "is_escalated": hears.is_escalated,
            }
            for event, hears, key in self.told
        ]  # fmt: skip
        insert_all_new(AlertDelivery, rows)
        return made

    def _already(self, waiting: Sequence[AlertEvent]) -> set[tuple[int, int]]:
        query = select(AlertDelivery.event_id, AlertDelivery.account_id)
        rows = db.session.execute(query.where(among(AlertDelivery.event_id, [one.id for one in waiting])))
        return {(event_id, account_id) for event_id, account_id in rows}

    def _find_gathering(self) -> None:
        """Find the letters that come at once and are not due yet: they take in what happens meanwhile."""
        query = select(Letter).where(
            Letter.kind == LetterKind.AT_ONCE, Letter.state == LetterState.WAITING, Letter.due_at > self.now
        )
        for one in db.session.scalars(query):
            self.wanted[one.key] = one
            self.gathering.setdefault((one.account_id, one.school_id), []).append(one)

    def _letter(self, event: AlertEvent, hears: Hears) -> str:
        """Return the key of the letter that tells somebody of an event."""
        of_school = self.calendars.get(hears.place) or self.calendars[None]
        where = "all" if hears.place is None else str(hears.place)
        if hears.delivery is Delivery.DIGEST:
            at = self.known.digest_at.get(hears.account_id, topics.DIGEST_AT)
            due_at = moments.digest_moment(of_school, at, self.now)
            on = due_at.astimezone(of_school.timezone).date()
            return self._want(f"digest:{hears.account_id}:{where}:{on}", LetterKind.DIGEST, hears, due_at)
        due_at = moments.at_once_moment(of_school, event.severity, self.now)
        for one in self.gathering.get((hears.account_id, hears.place), ()):
            if one.due_at <= due_at:
                return one.key
        key = f"at-once:{hears.account_id}:{where}:{due_at.isoformat(timespec='seconds')}"
        self._want(key, LetterKind.AT_ONCE, hears, due_at)
        self.gathering.setdefault((hears.account_id, hears.place), []).append(self.wanted[key])
        return key

    def _want(self, key: str, kind: LetterKind, hears: Hears, due_at: datetime) -> str:
        if key not in self.wanted:
            self.wanted[key] = self._made(key, kind, hears.account_id, hears.place, due_at)
        return key

    def _made(self, key: str, kind: LetterKind, account_id: int, place: int | None, due_at: datetime) -> Letter:
        return Letter(
            key=key, kind=kind, account_id=account_id, school_id=place, made_at=self.now, due_at=due_at,
            message_id=letters.new_message_id(self.domain), state=LetterState.WAITING, attempts=0, items=0,
        )  # fmt: skip

    def _keep(self) -> tuple[Mapping[str, int], int]:
        """Write the letters that are new; returns each one's id by its key, and how many are new.

        One that somebody has sent or is sending, whose clock may be ahead of ours, takes nothing in any more: another
        goes in its place.
        """
        keys = {key for _, _, key in self.told}
        ids, gone = _taking_in(keys)
        new = {}
        for key, one in self.wanted.items():
            if key not in keys or key in ids:
                continue
            if key in gone:
                again = f"{key}:{secrets.token_hex(4)}"
                new[key] = self._made(again, one.kind, one.account_id, one.school_id, one.due_at)
            else:
                new[key] = one
        db.session.add_all(new.values())
        db.session.flush()
        return {**ids, **{key: one.id for key, one in new.items()}}, len(new)


def _taking_in(keys: set[str]) -> tuple[Mapping[str, int], frozenset[str]]:
    """Return the letters of these keys that wait, which nobody takes before the transaction ends, and the other keys.

    Who is at one now is not waited for, as that one may wait for a row of ours.
    """
    is_one = among_texts(Letter.key, keys)
    waiting = select(Letter.key, Letter.id).where(is_one, Letter.state == LetterState.WAITING)
    ids = {row[0]: row[1] for row in db.session.execute(waiting.with_for_update(skip_locked=True))}
    return ids, frozenset(db.session.scalars(select(Letter.key).where(is_one))) - ids.keys()


def _tell_webhooks(now: datetime) -> int:
    """Make the messages of what was raised and what is over; returns how many."""
    is_loud = or_(AlertEvent.quiet_until.is_(None), AlertEvent.quiet_until <= now)
    raised = select(AlertEvent).where(AlertEvent.hooked_at.is_(None), AlertEvent.ended_at.is_(None), is_loud)
    over = select(AlertEvent).where(
        AlertEvent.hooked_at.is_not(None), AlertEvent.unhooked_at.is_(None), AlertEvent.ended_at.is_not(None)
    )
    hooks = db.session.scalars(select(Webhook).where(Webhook.is_on, Webhook.ended_at.is_(None))).all()
    new = db.session.scalars(raised.order_by(AlertEvent.id).limit(AT_ONCE)).all()
    gone = db.session.scalars(over.order_by(AlertEvent.id).limit(AT_ONCE)).all()
    beginnings = [
        (hook, event)
        for event in new
        for hook in hooks
        if event.topic.value in hook.topics and hook.school_id in {None, event.school_id}
    ]
    heard = hook_messages.heard_of([event.id for event in gone]) if hooks and gone else frozenset()
    ends = [(hook, event) for event in gone for hook in hooks if (hook.id, event.id) in heard]
    for what, pairs in ((hook_messages.RAISED, beginnings), (hook_messages.ENDED, ends)):
        told = tell([event for _, event in pairs]) if pairs else {}
        for hook, event in pairs:
            hook_messages.make(hook, what, told[event.id], event_id=event.id, now=now)
    for event in new:
        event.hooked_at = now
    for event in gone:
        event.unhooked_at = now
    return len(beginnings) + len(ends)


def tell(found: Sequence[AlertEvent]) -> Mapping[int, dict[str, Any]]:
    """Return what other programs are told of events, by the event's id: no person, no account; three statements."""
    devices = {
        one.id: one
        for one in db.session.scalars(select(Device).where(Device.id.in_(id_set(_present(found, "device_id")))))
    }
    schools = _names(School, School.name, _present(found, "school_id"))
    classes = _names(SchoolClass, SchoolClass.title, _present(found, "class_id"))
    told = {}
    for one in found:
        device = devices.get(one.device_id or 0)
        told[one.id] = {
            "id": one.id,
            "topic": one.topic.value,
            "kind": one.kind,
            "severity": one.severity.value,
            "raised_at": one.raised_at.isoformat(),
            "ended_at": one.ended_at.isoformat() if one.ended_at is not None else None,
            "school_id": one.school_id,
            "school": schools.get(one.school_id or 0),
            "class": classes.get(one.class_id or 0),
            "tablet": {"id": device.id, "serial": device.serial, "asset_tag": device.asset_tag} if device else None,
        }
    return told


def _present(found: Sequence[AlertEvent], name: str) -> set[int]:
    return {getattr(one, name) for one in found} - {None}


def _names(model: Any, column: Any, ids: set[int]) -> Mapping[int, str]:
    return {row[0]: row[1] for row in db.session.execute(select(model.id, column).where(model.id.in_(id_set(ids))))}
