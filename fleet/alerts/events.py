"""Events: what happened that people may want to hear of.

Invariants: whoever opens or closes findings, incidents and questions tells so (``db.changed``), and the events follow
in the same transaction, in a number of statements that does not grow with them; the same happening is one event, which
goes with its tablet to another school or class. What is mute or acknowledged is over, what is snoozed is quiet, and
comes again on the morning when that ends. What has grown worse is another event: others are to hear of it, and who was
told of the first is told of that too.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select

from fleet.alerts.models import AlertDelivery, AlertEvent, AlertTopic
from fleet.compliance.models import Finding, FindingKind, Incident, IncidentCause, Question, Severity
from fleet.compliance.queries import Attention, attention, class_of_tablet
from fleet.db import among, among_texts, carry_out, db, follow, id_set, insert_all_new
from fleet.devices.models import Device
from fleet.job_runs import JobOutcome, JobRun

WHERE_IS_IT = "where-is-it"  # the kind of questions
_WIDE = frozenset({IncidentCause.SCHOOL, IncidentCause.EVERYWHERE})
_JOBS_LOOKED_BACK = timedelta(days=2)
_GRADES = tuple(Severity)  # the least first


@dataclass(frozen=True, slots=True)
class _Now:
    """How something that has an event stands now."""

    key: str
    row: Mapping[str, Any]  # of the event, where it is new
    is_over: bool
    quiet_until: datetime | None = None
    escalated_at: datetime | None = None


def follow_changes() -> None:
    """Have events follow findings, incidents and questions, and tablets that move."""
    follow("device", _moved)
    follow("finding", _findings)
    follow("incident", _incidents)
    follow("question", _questions)


def _findings(ids: frozenset[int], now: datetime) -> None:
    query = select(Finding, Device.school_id, class_of_tablet(None)).join(Finding.device).where(among(Finding.id, ids))
    stands = []
    for finding, school_id, class_id in db.session.execute(query):
        snoozed = finding.snoozed_until if finding.snoozed_until is not None and finding.snoozed_until > now else None
        row = {
            "topic": _topic(finding),
            "kind": finding.kind,
            "severity": finding.severity,
            "school_id": school_id,
            "class_id": class_id,
            "device_id": finding.device_id,
            "about_id": finding.id,
            "detail": {**finding.detail, **({"subject": finding.subject} if finding.subject else {})},
        }
        is_over = finding.closed_at is not None or attention(finding, now=now) is Attention.ACKNOWLEDGED
        stands.append(_Now(f"finding:{finding.id}", row, is_over, quiet_until=snoozed))
    _write(stands, now)


def _moved(ids: frozenset[int], now: datetime) -> None:  # noqa: ARG001 (as who follows is called)
    """Have open events go with their tablets, so that those hear of them who look after these now."""
    query = select(AlertEvent, Device.school_id, class_of_tablet(None)).join(Device, Device.id == AlertEvent.device_id)
    open_ones = (among(AlertEvent.device_id, ids), AlertEvent.ended_at.is_(None))
    for event, school_id, class_id in db.session.execute(query.where(*open_ones)):
        asks_class = event.topic is AlertTopic.QUESTIONS  # which stays the one that was asked
        _say(event, {"school_id": school_id, "class_id": event.class_id if asks_class else class_id})


def _topic(finding: Finding) -> AlertTopic:
    if finding.kind == FindingKind.MISSING:
        return AlertTopic.MISSING
    return AlertTopic.SERIOUS if finding.severity is Severity.SERIOUS else AlertTopic.FINDINGS


def _incidents(ids: frozenset[int], now: datetime) -> None:
    stands = []
    for incident in db.session.scalars(select(Incident).where(among(Incident.id, ids))):
        row: dict[str, Any] = {
            "topic": AlertTopic.INCIDENTS,
            "kind": incident.cause.value,
            "severity": Severity.SERIOUS if incident.cause in _WIDE else Severity.WARNING,
            "school_id": incident.school_id,
            "about_id": incident.id,
            "detail": {**incident.about, "most": incident.most, "of": incident.of},
        }
        stands.append(_Now(f"incident:{incident.id}", row, incident.closed_at is not None))
    _write(stands, now)


def _questions(ids: frozenset[int], now: datetime) -> None:
    query = select(Question, Device.school_id).join(Question.device).where(among(Question.id, ids))
    stands = []
    for question, school_id in db.session.execute(query):
        row: dict[str, Any] = {
            "topic": AlertTopic.QUESTIONS,
            "kind": WHERE_IS_IT,
            "severity": Severity.WARNING,
            "school_id": school_id,
            "class_id": question.class_id,
            "device_id": question.device_id,
            "about_id": question.id,
            "detail": {},
        }
        is_over = question.answered_at is not None or question.withdrawn_at is not None
        stands.append(_Now(f"question:{question.id}", row, is_over, escalated_at=question.escalated_at))
    _write(stands, now)


_COLUMNS: Mapping[str, Any] = {
    "school_id": None, "class_id": None, "device_id": None, "about_id": None, "quiet_until": None, "ended_at": None,
    "escalated_at": None, "planned_at": None, "hooked_at": None, "unhooked_at": None,
}  # fmt: skip


def _write(stands: Collection[_Now], now: datetime) -> None:
    """Make the events that are new and not over, and bring the others up to date."""
    if not stands:
        return
    known = {
        one.key: one
        for one in db.session.scalars(
            select(AlertEvent).where(among_texts(AlertEvent.key, [one.key for one in stands]))
        )
    }
    new, again = [], set()
    for one in stands:
        event = known.get(one.key)
        if event is not None and _is_another(event, one):
            event.ended_at, event.key = event.ended_at or now, f"{event.key}:{event.id}"
            event = None
        if event is None:
            if not one.is_over:
                told = {"key": one.key, "raised_at": now, "quiet_until": one.quiet_until}
                new.append({**_COLUMNS, **one.row, **told, "escalated_at": one.escalated_at})
        elif _follow(event, one, now):
            again.add(event.id)
    db.session.flush()  # the keys of those that are over for another are free
    insert_all_new(AlertEvent, new)
    if again:  # told once more when the snooze is over
        forgetting = delete(AlertDelivery).where(AlertDelivery.event_id.in_(id_set(again)))
        carry_out(forgetting)


def _is_another(event: AlertEvent, one: _Now) -> bool:
    """Whether something that goes on matters more than its event says."""
    return not one.is_over and _GRADES.index(one.row["severity"]) > _GRADES.index(event.severity)


def _follow(event: AlertEvent, one: _Now, now: datetime) -> bool:
    """Bring an event up to date; returns whether readers are to be told once more."""
    if one.is_over:
        event.ended_at = event.ended_at or now
        return False
    if event.ended_at is not None:  # it goes on: who has not been told of it yet is, and who was told that it is over
        event.ended_at = event.planned_at = None
        if event.unhooked_at is not None:
            event.hooked_at = event.unhooked_at = None
    _say(event, one.row)
    if one.escalated_at is not None and event.escalated_at is None:
        event.escalated_at, event.planned_at = one.escalated_at, None
    is_snoozed = one.quiet_until is not None and one.quiet_until != event.quiet_until
    if event.quiet_until != one.quiet_until:  # snoozed, or woken
        event.quiet_until, event.planned_at = one.quiet_until, None
    return is_snoozed


def _say(event: AlertEvent, row: Mapping[str, Any]) -> None:
    """Have an event say what holds now; where it is of another place or cause, others may have to hear of it."""
    before = (event.kind, event.school_id, event.class_id)
    for name, value in row.items():
        if getattr(event, name) != value:
            setattr(event, name, value)
    if (event.kind, event.school_id, event.class_id) != before:
        event.planned_at = None


def note_jobs(*, now: datetime, timezone: ZoneInfo) -> None:
    """Raise an event for each job whose last run failed, one a local day, and end those of jobs that work again."""
    ended = select(JobRun.job, func.max(JobRun.id).label("last")).where(
        JobRun.started_at > now - _JOBS_LOOKED_BACK,
        JobRun.outcome.in_([JobOutcome.DONE, JobOutcome.FAILED, JobOutcome.LOST]),
    )
    last = ended.group_by(JobRun.job).subquery()
    stands = []
    works = set()
    for run in db.session.scalars(select(JobRun).join(last, last.c.last == JobRun.id)):
        if run.outcome is JobOutcome.DONE:
            works.add(run.job)
            continue
        on = run.started_at.astimezone(timezone).date()
        row = {
            "topic": AlertTopic.JOBS, "kind": run.job, "severity": Severity.WARNING, "detail": {"error": run.error},
        }  # fmt: skip
        stands.append(_Now(f"job:{run.job}:{on}", row, is_over=False))
    _write(stands, now)
    for event in _standing(AlertTopic.JOBS):
        if event.kind in works:
            event.ended_at = now


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that ends unless somebody renews it.

    Args:
        kind: what, such as ``push-certificate``.
        ends_at: when.
        step: the narrowest warning that has begun, in days; 0 once it has ended, None before them all.
    """

    kind: str
    ends_at: datetime
    step: int | None


def note_endings(endings: Iterable[Ending], *, now: datetime) -> int:
    """Raise an event for each step towards the end of something, and end those of what was renewed; returns how many.

    Args:
        endings: all there are, also those that are not near.
        now: the instant.
    """
    near = [one for one in endings if one.step is not None]
    stands = []
    for one in near:
        row = {
            "topic": AlertTopic.CERTIFICATES,
            "kind": one.kind,
            "severity": Severity.SERIOUS if one.step is not None and one.step <= 7 else Severity.WARNING,
            "detail": {"ends_at": one.ends_at.isoformat()},
        }
        stands.append(_Now(f"ending:{one.kind}:{one.ends_at.date()}:{one.step}", row, is_over=False))
    _write(stands, now)
    keys = {one.key for one in stands}
    for event in _standing(AlertTopic.CERTIFICATES):
        if event.key not in keys:
            event.ended_at = now
    return len(near)


def _standing(topic: AlertTopic) -> Iterable[AlertEvent]:
    return db.session.scalars(select(AlertEvent).where(AlertEvent.topic == topic, AlertEvent.ended_at.is_(None))).all()
