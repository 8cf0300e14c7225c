"""Who hears of an event: a few statements for all accounts, then pure.

A teacher hears of the own classes only, and a school's IT of an incident everywhere where tablets of that school are in
it. Whoever has a role everywhere gets one letter about all schools, whoever has it at schools gets one for each.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from fleet.access import Role
from fleet.alerts import topics
from fleet.alerts.models import AlertEvent, AlertReader, AlertTopic, Delivery
from fleet.compliance import incidents
from fleet.db import db
from fleet.people.models import Account, AccountGrant
from fleet.schools.models import Membership, MembershipRole, SchoolClass
from fleet.schools.queries import holding

# What a question or a serious event is until it goes one role up.
_UP = frozenset({AlertTopic.SERIOUS, AlertTopic.MISSING, AlertTopic.INCIDENTS})


@dataclass(frozen=True, slots=True)
class Hears:
    """Somebody hears of an event.

    Args:
        account_id: who.
        delivery: how.
        place: of which school the letter is; None: of all.
        is_escalated: whether it came up to them.
    """

    account_id: int
    delivery: Delivery
    place: int | None
    is_escalated: bool


@dataclass(frozen=True, slots=True)
class Readers:
    """All who may hear of something, as they were when it was read.

    Args:
        accounts: who can sign in, has a role and an address, by the school of the role (None: everywhere).
        classes: whose own they are, by account.
        chosen: what was chosen for roles.
        muted: what each does not want.
        digest_at: when each wants the digest, where not at the usual time.
        hit: the schools whose tablets are in an incident everywhere, by its number.
    """

    accounts: Mapping[int | None, tuple[Account, ...]]
    classes: Mapping[int, frozenset[int]]
    chosen: topics.Choices
    muted: Mapping[int, frozenset[AlertTopic]]
    digest_at: Mapping[int, time]
    hit: Mapping[int, frozenset[int]]

    def of(self, event: AlertEvent) -> Iterator[Hears]:
        """Give who hears of an event."""
        where = self._where(event)
        for account in {one.id: one for place in where for one in self.accounts.get(place, ())}.values():
            found = self._hears(account, event, where)
            if found is not None:
                yield found

    def _where(self, event: AlertEvent) -> frozenset[int | None]:
        """Return at which schools those are who may hear of an event; None: everywhere."""
        hit = self.hit.get(event.about_id or 0, frozenset()) if _is_everywhere(event) else frozenset()
        return hit | {None, event.school_id}

    def _hears(self, account: Account, event: AlertEvent, where: frozenset[int | None]) -> Hears | None:
        muted = self.muted.get(account.id, frozenset())
        best, places, is_up = Delivery.NONE, set(), True
        for grant in account.grants:
            topic = self._topic(account, grant, event) if grant.school_id in where else None
            if topic is None or topic in muted:
                continue
            told = topics.holds(self.chosen, grant.role, topic, grant.school_id or event.school_id)
            if told is not Delivery.NONE:
                best = topics.stronger(best, told)
                places.add(grant.school_id)
                is_up = is_up and _is_up(grant.role, topic, event)
        if best is Delivery.NONE:
            return None
        place = None if None in places else min(one for one in places if one is not None)
        return Hears(account.id, best, place, is_up)

    def _topic(self, account: Account, grant: AccountGrant, event: AlertEvent) -> AlertTopic | None:
        """Return as which topic an event comes to a role, None where it does not."""
        topic = event.topic
        if grant.role is Role.TEACHER:
            is_own = event.class_id in self.classes.get(account.id, ()) and grant.school_id == event.school_id
            return topic if is_own and topic in topics.TOPICS[grant.role] else None
        if grant.role is Role.SCHOOL_IT:
            waits = topic is AlertTopic.QUESTIONS and event.class_id is not None and event.escalated_at is None
            return topic if topic in topics.TOPICS[grant.role] and not waits else None
        if topic in topics.TOPICS[grant.role]:
            told = topics.holds(self.chosen, grant.role, topic, None)
            if told is not Delivery.NONE and topic not in self.muted.get(account.id, ()):
                return topic
        is_up = topic in _UP and event.escalated_at is not None
        return AlertTopic.ESCALATED if is_up else None


def _is_up(role: Role, topic: AlertTopic, event: AlertEvent) -> bool:
    asked_first = topic is AlertTopic.QUESTIONS and role is Role.SCHOOL_IT and event.escalated_at is not None
    return topic is AlertTopic.ESCALATED or asked_first


def _is_everywhere(event: AlertEvent) -> bool:
    return event.topic is AlertTopic.INCIDENTS and event.school_id is None


def load(*, today: date, about: Iterable[AlertEvent], account_id: int | None = None) -> Readers:
    """Return all who may hear of some events, or only one of them; six statements at most.

    Args:
        today: the local date on which teachers' classes count.
        about: the events.
        account_id: only this one.
    """
    query = select(Account).where(Account.disabled_at.is_(None), Account.grants.any())
    if account_id is not None:
        query = query.where(Account.id == account_id)
    loaded = query.options(selectinload(Account.grants), joinedload(Account.person)).order_by(Account.id)
    found = [one for one in db.session.scalars(loaded) if topics.address_of(one) is not None]
    ids = [one.id for one in found]
    times = select(AlertReader).where(AlertReader.account_id.in_(ids))
    by_place: dict[int | None, list[Account]] = defaultdict(list)
    for account in found:
        for place in {one.school_id for one in account.grants}:
            by_place[place].append(account)
    return Readers(
        {place: tuple(accounts) for place, accounts in by_place.items()},
        _classes(found, today),
        topics.choices(),
        topics.muted_by(ids),
        {one.account_id: one.digest_at for one in db.session.scalars(times)},
        incidents.schools_of({one.about_id for one in about if _is_everywhere(one) and one.about_id is not None}),
    )


def _classes(accounts: list[Account], today: date) -> Mapping[int, frozenset[int]]:
    of = {
        one.person_id: one.id
        for one in accounts
        if one.person_id is not None and any(grant.role is Role.TEACHER for grant in one.grants)
    }
    if not of:
        return {}
    query = (
        select(Membership.person_id, Membership.class_id)
        .join(SchoolClass)
        .where(
            Membership.person_id.in_(of),
            Membership.role == MembershipRole.TEACHER,
            *holding(today),
            SchoolClass.ended_at.is_(None),
        )
    )
    found: dict[int, set[int]] = defaultdict(set)
    for person_id, class_id in db.session.execute(query):
        found[of[person_id]].add(class_id)
    return {account_id: frozenset(ids) for account_id, ids in found.items()}
