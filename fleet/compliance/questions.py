"""Where is this tablet? Asked of its class's teachers, and after some hours without an answer of the school's IT.

Invariants: a teacher sees and answers questions about the own classes only, IT those of its schools; the first answer
holds; a tablet that spoke since is asked about no more, also before the job has noted it. "Gone" makes the tablet
missing at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, exists, false, or_, select, update
from sqlalchemy.orm import contains_eager

from fleet import audit
from fleet.access import Permission, Principal
from fleet.compliance import ledger, looking, steps
from fleet.compliance.ledger import Change
from fleet.compliance.models import OF_SILENCE, Answer, Finding, FindingKind, Question
from fleet.compliance.rules import Found
from fleet.db import carry_out, changed, db, id_set
from fleet.devices import states
from fleet.devices.models import Device, DeviceLife, DevicePresence, DeviceState
from fleet.errors import ConflictError, NotFoundError
from fleet.schools import queries as schools

TAKEN_BACK_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A question that waits, with its tablet; ``class_title`` is of the class that is asked, None where IT is."""

    question: Question
    device: Device
    class_title: str | None
    heard_at: datetime


def waiting(*, by: Principal, class_id: int | None = None, limit: int | None = None) -> Sequence[Waiting]:
    """Return the questions that ``by`` may answer, the oldest first; two statements.

    Args:
        by: who asks.
        class_id: only about tablets of this class.
        limit: at most so many.
    """
    own = contains_eager(Question.device)
    query = (
        _open(by)
        .add_columns(DeviceState.last_seen_at, DevicePresence.polled_at)
        .options(own, own.joinedload(Device.school), own.joinedload(Device.school_class), own.joinedload(Device.person))
        .order_by(Question.asked_at, Question.id)
    )
    if class_id is not None:
        query = query.where(Question.class_id == class_id)
    rows = db.session.execute(query.limit(limit)).all()
    titles = schools.class_titles({row[0].class_id for row in rows if row[0].class_id is not None})
    return [
        Waiting(
            row[0], row[0].device, titles.get(row[0].class_id),
            max((one for one in row[1:] if one is not None), default=row[0].device.created_at),
        )
        for row in rows
    ]  # fmt: skip


def about(device_id: int, *, by: Principal) -> Question | None:
    """Return the question about a tablet that waits and ``by`` may answer; None where there is none."""
    return db.session.scalars(_open(by).where(Question.device_id == device_id)).first()


def answer(question_id: int, answer: Answer, *, by: Principal, now: datetime, timezone: ZoneInfo) -> Question:
    """Answer a question.

    Args:
        question_id: the question.
        answer: where the tablet is.
        by: who answers.
        now: the instant.
        timezone: the schools' local time.

    Raises:
        NotFoundError: there is none of this number, or ``by`` may not answer it.
        ConflictError: it has been answered otherwise, or the tablet has been heard from since. Data: ``reason``
            (``answered``, ``heard``).
    """
    found = db.session.get(Question, question_id)
    device = db.session.get_one(Device, found.device_id) if found is not None else None
    if found is None or device is None or not _may(by, found, device):
        raise NotFoundError(kind="question", name=str(question_id))
    states.lock(id_set([device.id]))  # so that the job's decisions and this one follow each other
    db.session.refresh(found)
    if found.answer is answer:
        return found
    if found.answered_at is not None:
        raise ConflictError(kind="question", reason="answered")
    row = _quiet(found)
    if found.withdrawn_at is not None or row is None:
        raise ConflictError(kind="question", reason="heard")
    earlier = exists().where(Question.device_id == device.id, Question.id < found.id, Question.answered_at.is_not(None))
    is_again = db.session.scalar(select(earlier.where(Question.asked_at >= looking.heard(row))))
    calendar = looking.Week.load(timezone).of(device.school_id)
    excused = steps.excused_until(answer, calendar, now, is_again=bool(is_again))
    waits = update(Question).where(
        Question.id == question_id, Question.answered_at.is_(None), Question.withdrawn_at.is_(None)
    )
    said = waits.values(answer=answer, answered_at=now, answered_by=by.name, excused_until=excused)
    carry_out(said)
    audit.record(
        by, "silence.answered", subject=f"device:{device.id}", now=now, serial=device.serial, outcome=answer.value,
        class_id=found.class_id,
    )  # fmt: skip
    _follow(row, answer, now)
    changed("question", [question_id], now=now)
    db.session.expire_all()
    return found


def take_back(question_id: int, *, by: Principal, now: datetime) -> Question:
    """Take an answer back that one has just given: the question waits again, and the tablet is silent as before.

    Raises:
        NotFoundError: there is none of this number, or ``by`` may not answer it.
        ConflictError: it is not answered, somebody else answered it, it is too late, or the tablet has been heard from
            since. Data: ``reason`` (``waiting``, ``other``, ``late``, ``heard``).
    """
    found = db.session.get(Question, question_id)
    device = db.session.get_one(Device, found.device_id) if found is not None else None
    if found is None or device is None or not _may(by, found, device):
        raise NotFoundError(kind="question", name=str(question_id))
    states.lock(id_set([device.id]))
    db.session.refresh(found)
    row = _quiet(found)
    reason = _why_it_stands(found, by, now)
    if reason is not None or row is None:
        raise ConflictError(kind="question", reason=reason or "heard")
    found.answer = found.answered_at = found.answered_by = found.excused_until = None
    db.session.flush()
    audit.record(
        by, "silence.answer-taken-back", subject=f"device:{device.id}", now=now, serial=device.serial,
        class_id=found.class_id,
    )  # fmt: skip
    _follow(row, None, now)
    changed("question", [question_id], now=now)
    return found


def _why_it_stands(found: Question, by: Principal, now: datetime) -> str | None:
    """Return why an answer cannot be taken back, None where it can."""
    if found.answered_at is None:
        return "waiting"
    if found.answered_by != by.name:
        return "other"
    if now - found.answered_at > TAKEN_BACK_WITHIN:
        return "late"
    again = select(Question.id).where(Question.device_id == found.device_id, Question.id > found.id)
    return "heard" if db.session.scalar(again.limit(1)) is not None else None


def _quiet(asked: Question) -> Any:
    """Return the state of the tablet that was asked about; None where it was heard from since, or is in use no more."""
    row = looking.states_of([asked.device_id])[0]
    return row if looking.heard(row) < asked.asked_at and row.life is DeviceLife.ENROLLED else None


def _follow(row: Any, answer: Answer | None, now: datetime) -> None:
    """Have the quiet tablet's findings say what the answer means; the job would do the same a little later."""
    is_silence = (Finding.device_id == row.id, Finding.kind.in_(OF_SILENCE))
    found = db.session.scalars(select(Finding).where(*is_silence, Finding.closed_at.is_(None))).all()
    wanted = {
        Answer.GONE: FindingKind.MISSING, Answer.HERE: FindingKind.SILENT, Answer.HOME: None, None: FindingKind.SILENT,
    }[answer]  # fmt: skip
    change = Change(closed=[one for one in found if one.kind != wanted])
    if wanted is not None and not any(one.kind == wanted for one in found):
        told: dict[str, Any] = {"since": looking.heard(row).isoformat()}
        if answer is Answer.GONE:
            told["answer"] = answer.value
        change.opened.append((row.id, Found(wanted, "", told, steps.SEVERITY[wanted])))
        listening = update(DeviceState).where(DeviceState.device_id == row.id).values(review_key=None)
        carry_out(listening)
    ledger.write(change, now=now)


def _may(by: Principal, question: Question, device: Device) -> bool:
    return (
        device.school_id is not None
        and by.may(Permission.ENTER_ABSENCE, school_id=device.school_id, class_id=question.class_id)
    ) or by.may(Permission.ENTER_ABSENCE)


def _open(by: Principal) -> Any:
    """Select the questions that wait, about tablets not heard from since, which ``by`` may answer."""
    whole = by.school_ids(Permission.ENTER_ABSENCE)
    is_back = or_(DeviceState.last_seen_at >= Question.asked_at, DevicePresence.polled_at >= Question.asked_at)
    query = (
        select(Question)
        .join(Question.device)
        .join(DeviceState, DeviceState.device_id == Device.id)
        .outerjoin(DevicePresence, DevicePresence.device_id == Device.id)
        .where(Question.answered_at.is_(None), Question.withdrawn_at.is_(None), is_back.is_not(True))
        .where(Device.life == DeviceLife.ENROLLED)
    )
    if whole is None:
        return query
    taught = [grant.school_id for grant in by.grants if by.own_class_ids and grant.school_id is not None]
    own = and_(Question.class_id.in_(by.own_class_ids), Device.school_id.in_(taught)) if taught else false()
    return query.where(or_(Device.school_id.in_(whole), own))
