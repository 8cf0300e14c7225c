"""Silence in steps, with the database: what the steps decide is written down, set-based.

A tablet that lies in a bag over the summer is not silent; one that misses half a school day may be, and then its class
is asked where it is. Many that are quiet for one reason are an incident. A second run changes nothing. The first report
after a silence ends the finding at once (:mod:`fleet.compliance.review`), so a tablet found silent is reviewed at its
next report even if that tells nothing new; a question and an incident end with the next run, and are not shown until
then.

Whoever runs takes the turn :data:`TURN`, then the tablets' rows; somebody who answers takes the tablet's row. So two
servers that run at once follow each other, and a tablet that speaks meanwhile is left alone.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select, update

from fleet.compliance import ledger, looking, steps
from fleet.compliance.clusters import Cluster, Gathered
from fleet.compliance.ledger import Change
from fleet.compliance.models import OF_SILENCE, Finding, Incident, IncidentMember, Question
from fleet.compliance.quiet import Limits, Tablet
from fleet.compliance.rules import Found
from fleet.compliance.steps import Decisions
from fleet.db import among, carry_out, changed, db, id_set, insert_all_new, take_turn
from fleet.devices import states
from fleet.devices.models import DeviceState

TURN = "silence"
LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Done:
    """What a look at silence did, in numbers; ``tablets`` are those it was about."""

    tablets: int = 0
    opened: int = 0
    closed: int = 0
    asked: int = 0
    escalated: int = 0
    withdrawn: int = 0
    incidents: int = 0
    incidents_over: int = 0


def review(*, now: datetime, timezone: ZoneInfo, limits: Limits = LIMITS) -> Done:
    """Take the steps that are due; a fixed number of statements.

    Args:
        now: the instant.
        timezone: the schools' local time.
        limits: how much expected time leads to what.
    """
    db.session.flush()
    take_turn(TURN)
    seen = looking.look(now=now, timezone=timezone, limits=limits)
    decisions = steps.decide(seen.scene)
    if decisions.is_empty and not seen.stale:
        return Done()
    known = {one.id: one for one in seen.scene.tablets}
    ids = steps.touched(decisions, seen.scene.tablets)
    states.lock(id_set(ids))  # a tablet may have spoken meanwhile, or somebody of it: it is left alone
    _leave_alone(decisions, [known[one] for one in ids & known.keys() - looking.unchanged(known, ids)])
    withdrawn = _withdraw({*decisions.withdraws, *seen.stale}, now)
    opened, closed = _findings(decisions, now)
    asked = _ask(decisions, now)
    escalated = _escalate(decisions.escalates, now)
    begun, over = _incidents(decisions.gathered, seen.incidents, now)
    return Done(len(ids), opened, closed, asked, escalated, withdrawn, begun, over)


def _leave_alone(decisions: Decisions, moved: Collection[Tablet]) -> None:
    """Take tablets that spoke or were acted on while we looked out of what is done; the next look sees to them.

    Only leaving an incident stays: that is never taken back.
    """
    if not moved:
        return
    ids = {one.id for one in moved}
    findings = {one.silent_id for one in moved} | {one.missing_id for one in moved}
    questions = {one.asked.id for one in moved if one.asked is not None}
    gathered = decisions.gathered
    decisions.opens = {number: found for number, found in decisions.opens.items() if number not in ids}
    decisions.asks = [one for one in decisions.asks if one.device_id not in ids]
    decisions.unmutes = [one for one in decisions.unmutes if one not in ids]
    decisions.closes = [one for one in decisions.closes if one not in findings]
    decisions.escalates = [one for one in decisions.escalates if one not in questions]
    decisions.withdraws = [one for one in decisions.withdraws if one not in questions]
    gathered.joins = {number: joining - ids for number, joining in gathered.joins.items()}
    gathered.opens = [one for one in gathered.opens if one.members.isdisjoint(ids)]


def _findings(decisions: Decisions, now: datetime) -> tuple[int, int]:
    if decisions.unmutes:
        over = update(Finding).where(Finding.kind.in_(OF_SILENCE), Finding.is_mute)
        carry_out(over.where(among(Finding.device_id, decisions.unmutes)).values(is_mute=False))
    change = Change()
    for device_id, (kind, detail) in decisions.opens.items():
        change.opened.append((device_id, Found(kind, "", detail, steps.SEVERITY[kind])))
    if decisions.closes:
        change.closed.extend(db.session.scalars(select(Finding).where(among(Finding.id, decisions.closes))))
    opened, closed = ledger.write(change, now=now)
    if change.opened:  # the next report is reviewed, whatever it tells
        listening = update(DeviceState).where(among(DeviceState.device_id, decisions.opens))
        carry_out(listening.values(review_key=None))
    return opened, closed


def _ask(decisions: Decisions, now: datetime) -> int:
    """Ask; whoever is asked already is not asked again."""
    if not decisions.asks:
        return 0
    insert_all_new(
        Question,
        [
            {
                "device_id": one.device_id, "class_id": one.class_id, "asked_at": now,
                "escalated_at": now if one.is_escalated else None,
            }
            for one in decisions.asks
        ],
    )  # fmt: skip
    mine = select(Question.id).where(Question.asked_at == now, Question.answered_at.is_(None))
    ids = db.session.scalars(mine.where(among(Question.device_id, {one.device_id for one in decisions.asks}))).all()
    changed("question", ids, now=now)
    return len(ids)


def _escalate(ids: list[int], now: datetime) -> int:
    if not ids:
        return 0
    waiting = update(Question).where(Question.answered_at.is_(None), Question.withdrawn_at.is_(None))
    changed("question", ids, now=now)
    return carry_out(waiting.where(among(Question.id, ids), Question.escalated_at.is_(None)).values(escalated_at=now))


def _withdraw(ids: set[int], now: datetime) -> int:
    if not ids:
        return 0
    waiting = update(Question).where(Question.answered_at.is_(None), Question.withdrawn_at.is_(None))
    changed("question", ids, now=now)
    return carry_out(waiting.where(among(Question.id, ids)).values(withdrawn_at=now))


def _incidents(gathered: Gathered, known: dict[int, Incident], now: datetime) -> tuple[int, int]:
    """Write which incidents begin, grow, shrink and end; returns how many begin and end."""
    if gathered.is_empty:
        return 0, 0
    gone = {device_id for ids in gathered.leaves.values() for device_id in ids}
    if gone:
        leaving = update(IncidentMember).where(IncidentMember.left_at.is_(None))
        of = among(IncidentMember.incident_id, gathered.leaves)
        carry_out(leaving.where(of, among(IncidentMember.device_id, gone)).values(left_at=now))
    begun = [_begun(one, now) for one in gathered.opens]
    db.session.add_all(begun)
    db.session.flush()
    joining = {one.id: cluster.members for one, cluster in zip(begun, gathered.opens, strict=True)} | gathered.joins
    for number in gathered.reopens:
        known[number].closed_at = None
    for number in gathered.closes:
        known[number].closed_at = now
    for number, cluster in gathered.widens.items():
        one = known[number]
        one.cause, one.about, one.of, one.school_id = cluster.cause, dict(cluster.about), cluster.of, cluster.school_id
    _join(joining, now)
    _count(joining, known)
    db.session.flush()
    changed("incident", {*(one.id for one in begun), *gathered.reopens, *gathered.closes, *gathered.widens}, now=now)
    return len(begun) + len(gathered.reopens), len(gathered.closes)


def _begun(cluster: Cluster, now: datetime) -> Incident:
    return Incident(
        school_id=cluster.school_id, cause=cluster.cause, about=dict(cluster.about), began_at=cluster.began_at,
        opened_at=now, most=len(cluster.members), of=cluster.of,
    )  # fmt: skip


def _join(joining: dict[int, frozenset[int]], now: datetime) -> None:
    """Have tablets be in incidents; one that was in it before is in it again."""
    pairs = [(number, device_id) for number, ids in joining.items() for device_id in sorted(ids)]
    if not pairs:
        return
    rows = [{"incident_id": number, "device_id": one, "joined_at": now} for number, one in pairs]
    insert_all_new(IncidentMember, rows)
    again = update(IncidentMember).where(
        IncidentMember.left_at.is_not(None), among(IncidentMember.incident_id, joining)
    )
    again = again.where(among(IncidentMember.device_id, {one for _, one in pairs}))
    carry_out(again.values(left_at=None, joined_at=now))
    db.session.expire_all()


def _count(joining: dict[int, frozenset[int]], known: dict[int, Incident]) -> None:
    """Have incidents that grew say how many they are at their height; one statement to read."""
    grown = joining.keys() & known.keys()
    if not grown:
        return
    query = select(IncidentMember.incident_id, IncidentMember.device_id).where(IncidentMember.left_at.is_(None))
    numbers: dict[int, int] = {}
    for row in db.session.execute(query.where(among(IncidentMember.incident_id, grown))):
        numbers[row.incident_id] = numbers.get(row.incident_id, 0) + 1
    for number in grown:
        known[number].most = max(known[number].most, numbers.get(number, 0))
