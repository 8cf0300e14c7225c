"""Who hears of what: each role at each school, and what each person wants not to hear of.

What holds for a role at a school, nearest first: the school's own choice, the municipality's, :data:`DEFAULTS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from sqlalchemy import delete, select

from fleet import audit
from fleet.access import Permission, Principal, Role, require
from fleet.alerts.models import AlertChoice, AlertMute, AlertReader, AlertTopic, Delivery
from fleet.db import carry_out, db, insert_new, take_turn
from fleet.errors import InvalidError, NotFoundError
from fleet.people.models import Account
from fleet.schools.models import School

DIGEST_AT = time(8, 0)
EARLIEST, LATEST = time(7, 30), time(16, 0)  # outside of which nobody is disturbed
# What a role can hear of at all: a teacher of the own classes only, and of nothing that runs the server.
TOPICS: Mapping[Role, tuple[AlertTopic, ...]] = {
    Role.TEACHER: (AlertTopic.QUESTIONS, AlertTopic.FINDINGS, AlertTopic.SERIOUS, AlertTopic.MISSING),
    Role.SCHOOL_IT: (
        AlertTopic.FINDINGS,
        AlertTopic.SERIOUS,
        AlertTopic.MISSING,
        AlertTopic.INCIDENTS,
        AlertTopic.QUESTIONS,
    ),
    Role.MUNICIPAL_ADMIN: (
        AlertTopic.FINDINGS,
        AlertTopic.SERIOUS,
        AlertTopic.MISSING,
        AlertTopic.INCIDENTS,
        AlertTopic.ESCALATED,
        AlertTopic.JOBS,
        AlertTopic.CERTIFICATES,
    ),
}
_NONE, _DIGEST, _AT_ONCE = Delivery.NONE, Delivery.DIGEST, Delivery.AT_ONCE
DEFAULTS: Mapping[tuple[Role, AlertTopic], Delivery] = {
    (Role.TEACHER, AlertTopic.QUESTIONS): _AT_ONCE,
    (Role.SCHOOL_IT, AlertTopic.FINDINGS): _DIGEST,
    (Role.SCHOOL_IT, AlertTopic.SERIOUS): _AT_ONCE,
    (Role.SCHOOL_IT, AlertTopic.MISSING): _AT_ONCE,
    (Role.SCHOOL_IT, AlertTopic.INCIDENTS): _AT_ONCE,
    (Role.SCHOOL_IT, AlertTopic.QUESTIONS): _DIGEST,
    (Role.MUNICIPAL_ADMIN, AlertTopic.INCIDENTS): _AT_ONCE,
    (Role.MUNICIPAL_ADMIN, AlertTopic.ESCALATED): _AT_ONCE,
    (Role.MUNICIPAL_ADMIN, AlertTopic.JOBS): _AT_ONCE,
    (Role.MUNICIPAL_ADMIN, AlertTopic.CERTIFICATES): _DIGEST,
}
Choices = Mapping[tuple[Role, AlertTopic, int | None], Delivery]


@dataclass(frozen=True, slots=True)
class Cell:
    """How a role hears of a topic at a place.

    Args:
        role: whose.
        topic: of what.
        delivery: what holds.
        is_own: whether the place has chosen it itself.
        inherited: what would hold if it had not.
    """

    role: Role
    topic: AlertTopic
    delivery: Delivery
    is_own: bool
    inherited: Delivery


@dataclass(frozen=True, slots=True)
class Own:
    """What somebody hears of.

    Args:
        address: where to; None: there is none, so nothing is sent.
        digest_at: at which local time the digest comes.
        topics: what could be heard of by one's roles, and how, the most that any of them gives.
        muted: of these nothing is sent.
    """

    address: str | None
    digest_at: time
    topics: Mapping[AlertTopic, Delivery]
    muted: frozenset[AlertTopic]


def choices() -> Choices:
    """Return what has been chosen; one statement."""
    return {(one.role, one.topic, one.school_id): one.delivery for one in db.session.scalars(select(AlertChoice))}


def holds(chosen: Choices, role: Role, topic: AlertTopic, school_id: int | None) -> Delivery:
    """Return how a role hears of a topic at a school."""
    own = chosen.get((role, topic, school_id))
    if own is None:
        own = chosen.get((role, topic, None))
    return own if own is not None else DEFAULTS.get((role, topic), Delivery.NONE)


def matrix(*, by: Principal, school_id: int | None = None) -> Sequence[Cell]:
    """Return how each role hears of each topic at a school, or (None) in the municipality; one statement.

    Raises:
        ForbiddenError: ``by`` does not decide on alerts there.
    """
    require(by, Permission.EDIT_ALERTS, school_id=school_id)
    chosen = choices()
    cells = []
    for role, of_role in TOPICS.items():
        if school_id is not None and role is Role.MUNICIPAL_ADMIN:
            continue  # they are of no school
        for topic in of_role:
            own = chosen.get((role, topic, school_id))
            above = None if school_id is None else chosen.get((role, topic, None))
            inherited = above if above is not None else DEFAULTS.get((role, topic), Delivery.NONE)
            cells.append(Cell(role, topic, own if own is not None else inherited, own is not None, inherited))
    return cells


def choose(
    role: Role, topic: AlertTopic, delivery: Delivery | None, *, school_id: int | None, by: Principal, now: datetime
) -> bool:
    """Decide how a role hears of a topic; None: as if nothing had been decided. Returns whether that changed anything.

    Args:
        role: whose.
        topic: of what.
        delivery: how.
        school_id: at which school; None: wherever no school has decided.
        by: who decides.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` does not decide on alerts there.
        InvalidError: the role cannot hear of that, or not at a school.
        NotFoundError: there is no such school.
    """
    require(by, Permission.EDIT_ALERTS, school_id=school_id)
    if topic not in TOPICS[role] or (school_id is not None and role is Role.MUNICIPAL_ADMIN):
        raise InvalidError(kind="alert", reason="topic", expected=", ".join(TOPICS[role]))
    if school_id is not None and db.session.get(School, school_id) is None:
        raise NotFoundError(kind="school", name=str(school_id))
    take_turn("alert-choices")
    place: Any = AlertChoice.school_id.is_(None) if school_id is None else AlertChoice.school_id == school_id
    found = db.session.scalar(select(AlertChoice).where(AlertChoice.role == role, AlertChoice.topic == topic, place))
    if (found.delivery if found is not None else None) is delivery:
        return False
    if found is None:
        db.session.add(AlertChoice(role=role, topic=topic, delivery=delivery, school_id=school_id))
    elif delivery is None:
        db.session.delete(found)
    else:
        found.delivery = delivery
    db.session.flush()
    audit.record(
        by, "alerts.chosen", subject="alerts:choices", now=now, role=role.value, topic=topic.value,
        delivery=delivery.value if delivery is not None else None, school_id=school_id,
    )  # fmt: skip
    return True


Decided = Mapping[tuple[Role, AlertTopic], Delivery | None]


def put_back(
    before: Decided, after: Decided, *, school_id: int | None, by: Principal, now: datetime
) -> int:  # fmt: skip
    """Decide again as it was before; returns how much has been decided otherwise since, which is left alone.

    Args:
        before: what the place had decided itself; None: nothing.
        after: what it decided then.
        school_id: at which school; None: wherever no school has decided.
        by: who takes it back.
        now: the instant.

    Raises:
        ForbiddenError, InvalidError, NotFoundError: as :func:`choose`.
    """
    require(by, Permission.EDIT_ALERTS, school_id=school_id)
    take_turn("alert-choices")
    chosen = choices()
    left = 0
    for (role, topic), delivery in before.items():
        present = chosen.get((role, topic, school_id))
        if present is after[role, topic]:
            choose(role, topic, delivery, school_id=school_id, by=by, now=now)
        else:
            left += present is not delivery
    return left


def address_of(account: Account) -> str | None:
    """Return where somebody's mail goes: the account's address, else the roster's."""
    if account.email is not None:
        return account.email
    person = account.person
    return person.email if person is not None and person.ended_at is None else None


def own(account: Account) -> Own:
    """Return what somebody hears of."""
    chosen = choices()
    found: dict[AlertTopic, Delivery] = {}
    for grant in account.grants:
        for topic in TOPICS[grant.role]:
            told = holds(chosen, grant.role, topic, grant.school_id)
            found[topic] = stronger(told, found.get(topic, Delivery.NONE))
    muted = db.session.scalars(select(AlertMute.topic).where(AlertMute.account_id == account.id))
    reader = db.session.get(AlertReader, account.id)
    digest_at = reader.digest_at if reader is not None else DIGEST_AT
    return Own(address_of(account), digest_at, found | {AlertTopic.REPORTS: Delivery.AT_ONCE}, frozenset(muted))


def stronger(one: Delivery, other: Delivery) -> Delivery:
    """Return which of two comes sooner."""
    order = (Delivery.NONE, Delivery.DIGEST, Delivery.AT_ONCE)
    return max(one, other, key=order.index)


def mute(account: Account, topic: AlertTopic, *, by: Principal, now: datetime) -> None:
    """Have somebody hear no more of a topic.

    Raises:
        ForbiddenError: ``by`` is somebody else, who has no shell on the server.
    """
    _require_self(account, by)
    if insert_new(AlertMute, {"account_id": account.id, "topic": topic, "muted_at": now}):
        audit.record(by, "alerts.muted", subject=f"account:{account.id}", now=now, topic=topic.value)


def unmute(account: Account, topic: AlertTopic, *, by: Principal, now: datetime) -> None:
    """Have somebody hear of a topic again.

    Raises:
        ForbiddenError: ``by`` is somebody else, who has no shell on the server.
    """
    _require_self(account, by)
    gone = delete(AlertMute).where(AlertMute.account_id == account.id, AlertMute.topic == topic)
    if carry_out(gone):
        audit.record(by, "alerts.unmuted", subject=f"account:{account.id}", now=now, topic=topic.value)


def set_digest_at(account: Account, at: time, *, by: Principal, now: datetime) -> None:
    """Choose at which local time somebody's digest comes.

    Raises:
        ForbiddenError: ``by`` is somebody else, who has no shell on the server.
        InvalidError: nobody is disturbed at that time.
    """
    _require_self(account, by)
    if not EARLIEST <= at < LATEST:
        raise InvalidError(kind="alert", reason="time", expected=f"{EARLIEST:%H:%M} to {LATEST:%H:%M}")
    db.session.merge(AlertReader(account_id=account.id, digest_at=at.replace(second=0, microsecond=0)))
    db.session.flush()
    audit.record(by, "alerts.time-set", subject=f"account:{account.id}", now=now)


def _require_self(account: Account, by: Principal) -> None:
    if by.account_id != account.id:
        require(by, Permission.EDIT_MUNICIPALITY)


def muted_by(account_ids: Sequence[int]) -> Mapping[int, frozenset[AlertTopic]]:
    """Return what each of some accounts does not want to hear of; one statement."""
    found: dict[int, set[AlertTopic]] = {}
    rows = db.session.execute(
        select(AlertMute.account_id, AlertMute.topic).where(AlertMute.account_id.in_(account_ids))
    )
    for account_id, topic in rows:
        found.setdefault(account_id, set()).add(topic)
    return {account_id: frozenset(topics) for account_id, topics in found.items()}
