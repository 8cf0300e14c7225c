"""Sending letters, what of it is the database's: whose turn a letter is, what it tells, and what came of it.

Invariants: a letter that is due is taken by one server, which holds it for :data:`HOLD`; nothing is sent in here. What
a letter tells is written when it is taken, without what is over by then or not the reader's business any more, and kept
until it is certain that no mail server has taken it. A server that was killed between the mail server's yes and our
note leaves a letter that goes again, the same under the same name: the reader's mail program may show it twice or
once, but nothing is lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, delete, or_, select, update
from sqlalchemy.orm import joinedload

from fleet.alerts import moments, readers, topics, unsubscribing
from fleet.alerts.letters import MOST_ITEMS, Contents, Item, contents_of
from fleet.alerts.models import (
    AlertDelivery,
    AlertEvent,
    AlertTopic,
    Letter,
    LetterFile,
    LetterKind,
    LetterState,
)
from fleet.compliance.models import ComplianceRule, Severity
from fleet.db import carry_out, db, id_set
from fleet.devices.models import Device
from fleet.people import accounts, mail_addresses
from fleet.people.models import Account
from fleet.schools import calendar
from fleet.schools.models import School, SchoolClass

HOLD = timedelta(minutes=10)
BACK_OFF = tuple(timedelta(minutes=one) for one in (1, 5, 15, 60, 180, 360))  # and then every six hours
# Source: RFC 5321 section 4.5.4.1: tried for four to five days.
GIVE_UP_AFTER = timedelta(days=5)
_LANGUAGE = "nb"  # where the reader has chosen none
_FREE = (LetterState.WAITING, LetterState.FAILED)
_EVENTS = "event_ids"  # beside the contents, which events they are
_SEVERITIES = (Severity.SERIOUS, Severity.WARNING, Severity.NOTE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a letter."""

    file_name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter that we may send now.

    Args:
        id: which.
        claimed_until: until when; also what proves it.
        message_id: its name, the same for each try.
        address: where to.
        language: of the reader.
        contents: what it tells.
        file: what it brings with it.
        was_unsure: whether a mail server may have it from an earlier try.
    """

    id: int
    claimed_until: datetime
    message_id: str
    address: str = field(repr=False)
    language: str
    contents: Contents = field(repr=False)
    file: Attachment | None = field(repr=False)
    was_unsure: bool = False


@dataclass(frozen=True, slots=True)
class Links:
    """What links in letters need.

    Args:
        base_url: where the pages are.
        unsubscribe_key: signs the link by which one says no.
    """

    base_url: str
    unsubscribe_key: bytes = field(repr=False)


def claim(*, links: Links, now: datetime, timezone: ZoneInfo) -> Claimed | None:
    """Take a letter that is due, for as long as :data:`HOLD`; None where none is.

    What has nothing to tell any more, or nobody to tell it to, ends here.

    Args:
        links: what links need.
        now: the instant.
        timezone: the schools' local time.
    """
    while (letter := _take(now)) is not None:
        address = topics.address_of(letter.account)
        if address is None or not mail_addresses.is_address(address):
            _close(letter, LetterState.GIVEN_UP, "no address", now)
            continue
        was_unsure = letter.contents is not None
        if not was_unsure:
            letter.contents = _write(letter, links, now, timezone)
        if letter.contents is None:
            _close(letter, LetterState.EMPTY, None, now)
            db.session.execute(delete(LetterFile).where(LetterFile.letter_id == letter.id))
            continue
        if _is_held(letter, was_unsure=was_unsure, now=now, timezone=timezone):
            continue
        letter.address = address
        db.session.flush()
        language = letter.account.language or _LANGUAGE
        kept = {name: value for name, value in letter.contents.items() if name != _EVENTS}
        return Claimed(
            letter.id, now + HOLD, letter.message_id, address, language, contents_of(kept), _file(letter.id), was_unsure
        )  # fmt: skip
    return None


def _is_held(letter: Letter, *, was_unsure: bool, now: datetime, timezone: ZoneInfo) -> bool:
    """Have a letter wait that came to be late and disturbs now; whether it does. What is serious does not wait."""
    items = (letter.contents or {}).get("items", ())
    is_pressing = letter.kind is LetterKind.AT_ONCE and any(one["severity"] == Severity.SERIOUS for one in items[:1])
    if letter.kind not in {LetterKind.DIGEST, LetterKind.AT_ONCE} or is_pressing:
        return False
    calendars = calendar.load(timezone)
    until = moments.held_until(calendars.get(letter.school_id) or calendars[None], letter.due_at, now)
    if until is not None:
        letter.due_at = until
        _free(letter, was_unsure=was_unsure)
    return until is not None


def is_due(*, now: datetime) -> bool:
    """Whether a letter could be taken: who looks often need not write to find none. One statement."""
    return bool(db.session.scalar(_due(now).limit(1)))


def _due(now: datetime) -> Select[int]:
    is_free = or_(Letter.state.in_(_FREE), (Letter.state == LetterState.SENDING) & (Letter.claimed_until <= now))
    return select(Letter.id).where(is_free, Letter.due_at <= now)


def _take(now: datetime) -> Letter | None:
    due = _due(now).order_by(Letter.due_at, Letter.id).limit(1).with_for_update(skip_locked=True)
    taking = (
        update(Letter)
        .where(Letter.id == due.scalar_subquery())
        .values(state=LetterState.SENDING, claimed_until=now + HOLD, attempts=Letter.attempts + 1)
        .returning(Letter.id)
        .execution_options(synchronize_session=False)
    )
    taken = db.session.scalar(taking)
    if taken is None:
        return None
    query = select(Letter).where(Letter.id == taken).execution_options(populate_existing=True)
    query = query.options(joinedload(Letter.account).joinedload(Account.person), joinedload(Letter.school))
    return db.session.scalars(query).one()


def _close(letter: Letter, state: LetterState, failure: str | None, now: datetime) -> None:
    letter.state, letter.claimed_until, letter.ended_at = state, None, now
    letter.failure, letter.failed_at = failure, now if failure is not None else None
    db.session.flush()


def _file(letter_id: int) -> Attachment | None:
    found = db.session.get(LetterFile, letter_id)
    return Attachment(found.file_name, found.media_type, found.content) if found is not None else None


def _write(letter: Letter, links: Links, now: datetime, timezone: ZoneInfo) -> dict[str, Any] | None:
    """Return what a letter tells now, None where that is nothing."""
    account = letter.account
    if account.disabled_at is not None:
        return None
    about: set[AlertTopic] = set()
    event_ids: list[int] = []
    told: dict[str, Any] = {}
    if letter.kind in {LetterKind.DIGEST, LetterKind.AT_ONCE}:
        rows = _events(letter, now, now.astimezone(timezone).date())
        if not rows:
            return None
        about = {_topic(event, is_escalated=is_escalated) for event, is_escalated in rows}
        event_ids = [event.id for event, _ in rows]
        told = _counted(rows)
    elif letter.kind is LetterKind.REPORT:
        about = {AlertTopic.REPORTS}
        file = db.session.get_one(LetterFile, letter.id)
        if not accounts.principal(account, today=now.astimezone(timezone).date()).reaches(file.reach):
            return None  # what was seen when it was made is not the reader's business any more
        told = {"subject_key": file.subject_key, "file_name": file.file_name}
    unsubscribe_url = None
    if about:
        token = unsubscribing.token(account.id, about, key=links.unsubscribe_key)
        unsubscribe_url = f"{links.base_url}{unsubscribing.PATH}{token}"
    contents = Contents(
        letter.kind, account.name, links.base_url, now, letter.school.name if letter.school is not None else None,
        unsubscribe_url=unsubscribe_url, **told,
    )  # fmt: skip
    letter.items = len(event_ids)
    return {**contents.plain(), _EVENTS: event_ids}


def _events(letter: Letter, now: datetime, today: date) -> list[tuple[AlertEvent, bool]]:
    """Return what there is to tell, the most serious first, and leave the rest out of the letter."""
    query = (
        select(AlertEvent, AlertDelivery.is_escalated)
        .join(AlertDelivery, AlertDelivery.event_id == AlertEvent.id)
        .where(AlertDelivery.letter_id == letter.id)
    )
    rows = [(event, bool(is_escalated)) for event, is_escalated in db.session.execute(query)]
    known = readers.load(today=today, about=[event for event, _ in rows], account_id=letter.account_id)
    kept, left = [], []
    for event, is_escalated in rows:
        is_quiet = event.quiet_until is not None and event.quiet_until > now
        if is_quiet:  # snoozed while it was planned: it comes again when that is over
            event.planned_at = None
        if event.ended_at is not None or is_quiet or not any(known.of(event)):
            left.append(event.id)
        else:
            kept.append((event, is_escalated))
    if left:
        _forget(letter.id, left)
    return sorted(kept, key=lambda row: (_SEVERITIES.index(row[0].severity), -row[0].raised_at.timestamp(), row[0].id))


def _forget(letter_id: int, event_ids: Sequence[int]) -> None:
    gone = delete(AlertDelivery).where(
        AlertDelivery.letter_id == letter_id, AlertDelivery.event_id.in_(id_set(event_ids))
    )
    carry_out(gone)


def _topic(event: AlertEvent, *, is_escalated: bool) -> AlertTopic:
    return AlertTopic.ESCALATED if is_escalated and event.topic is not AlertTopic.QUESTIONS else event.topic


def _counted(rows: Sequence[tuple[AlertEvent, bool]]) -> dict[str, Any]:
    counts: dict[AlertTopic, int] = {}
    for event, is_escalated in rows:
        topic = _topic(event, is_escalated=is_escalated)
        counts[topic] = counts.get(topic, 0) + 1
    shown = rows[:MOST_ITEMS]
    return {"items": _items(shown), "more": len(rows) - len(shown), "counts": counts}


def _items(rows: Sequence[tuple[AlertEvent, bool]]) -> tuple[Item, ...]:
    found = [event for event, _ in rows]
    devices = {one.id: one for one in db.session.scalars(_of(Device, found, "device_id"))}
    schools = {one.id: one.name for one in db.session.scalars(_of(School, found, "school_id"))}
    classes = {one.id: one.title for one in db.session.scalars(_of(SchoolClass, found, "class_id"))}
    titles = {row[0]: row[1] for row in db.session.execute(select(ComplianceRule.code, ComplianceRule.title))}
    items = []
    for one, is_escalated in rows:
        device = devices.get(one.device_id or 0)
        items.append(
            Item(
                topic=_topic(one, is_escalated=is_escalated),
                kind=one.kind,
                severity=one.severity,
                raised_at=one.raised_at,
                school_id=one.school_id,
                school=schools.get(one.school_id or 0),
                class_title=classes.get(one.class_id or 0),
                device_id=one.device_id,
                tablet=(device.asset_tag or device.serial) if device is not None else None,
                about_id=one.about_id,
                title=titles.get(one.kind),
                detail=dict(one.detail),
                is_escalated=is_escalated,
            )
        )
    return tuple(items)


def _of(model: Any, found: Sequence[AlertEvent], name: str) -> Any:
    ids = {getattr(one, name) for one in found} - {None}
    return select(model).where(model.id.in_(id_set(ids)))


def sent(claimed: Claimed, *, now: datetime) -> bool:
    """Note that the mail server has taken a letter; returns False where it was taken from us meanwhile."""
    letter = _ours(claimed)
    if letter is None:
        return False
    told = set((letter.contents or {}).get(_EVENTS, ()))
    slipped = select(AlertDelivery.event_id).where(
        AlertDelivery.letter_id == letter.id, AlertDelivery.event_id.not_in(id_set(told))
    )
    late = db.session.scalars(slipped).all()
    if late:  # they came into the letter after it was written: another one tells of them
        _forget(letter.id, late)
        again = update(AlertEvent).where(AlertEvent.id.in_(id_set(late))).values(planned_at=None)
        carry_out(again)
    letter.contents = None
    _close(letter, LetterState.SENT, None, now)
    db.session.execute(delete(LetterFile).where(LetterFile.letter_id == letter.id))
    return True


def failed(claimed: Claimed, reason: str, *, is_unsure: bool, now: datetime) -> bool:
    """Note that a letter did not arrive and is tried again; returns False where it was taken from us meanwhile.

    Args:
        claimed: as it was taken.
        reason: a few words, no address.
        is_unsure: whether the mail server may have taken it: the same goes again then.
        now: the instant.
    """
    letter = _ours(claimed)
    if letter is None:
        return False
    letter.failing_since = letter.failing_since or now
    if now - letter.failing_since > GIVE_UP_AFTER:
        _close(letter, LetterState.GIVEN_UP, reason[:200], now)
        return True
    wait = BACK_OFF[min(letter.attempts, len(BACK_OFF)) - 1]
    letter.state, letter.claimed_until, letter.due_at = LetterState.FAILED, None, now + wait
    letter.failure, letter.failed_at = reason[:200], now
    if not (is_unsure or claimed.was_unsure):
        letter.contents = None
    db.session.flush()
    return True


def put_back(claimed: Claimed) -> bool:
    """Have a letter wait as if it had not been taken: the mail server was not reached, which is not the letter's fault.

    Returns False where it was taken from us meanwhile.
    """
    letter = _ours(claimed)
    if letter is None:
        return False
    _free(letter, was_unsure=claimed.was_unsure)
    return True


def _free(letter: Letter, *, was_unsure: bool) -> None:
    letter.state, letter.claimed_until, letter.attempts = LetterState.WAITING, None, letter.attempts - 1
    if not was_unsure:
        letter.contents = None
    db.session.flush()


def refused(claimed: Claimed, reason: str, *, now: datetime) -> bool:
    """Note that the mail server will never take a letter; returns False where it was taken from us meanwhile."""
    letter = _ours(claimed)
    if letter is None:
        return False
    letter.contents = None
    _close(letter, LetterState.GIVEN_UP, reason[:200], now)
    return True


def _ours(claimed: Claimed) -> Letter | None:
    query = select(Letter).where(
        Letter.id == claimed.id, Letter.state == LetterState.SENDING, Letter.claimed_until == claimed.claimed_until
    )
    return db.session.scalars(query.with_for_update().execution_options(populate_existing=True)).first()
