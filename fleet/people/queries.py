"""Reading accounts: a list that can be narrowed, and which classes a teacher's account has, or why it has none."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, select
from sqlalchemy.orm import joinedload, selectinload

from fleet.access import Permission, Principal, Role
from fleet.db import db
from fleet.errors import ForbiddenError, NotFoundError
from fleet.people.accounts import fold
from fleet.people.models import Account, AccountGrant
from fleet.schools.models import Membership, MembershipRole, School, SchoolClass
from fleet.schools.queries import holding


class Standing(enum.StrEnum):
    """How an account stands."""

    ACTIVE = "active"
    NO_PASSWORD = "no-password"  # noqa: S105 (a state's name)
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which accounts are meant; None and an empty text narrow nothing.

    Args:
        text: part of the name or user name; case does not matter.
        role: that it has anywhere.
        school_id: where it has a role; with ``role``, that one.
        standing: how it stands.
    """

    text: str = ""
    role: Role | None = None
    school_id: int | None = None
    standing: Standing | None = None


def standing(account: Account) -> Standing:
    """Return how an account stands."""
    if account.disabled_at is not None:
        return Standing.DISABLED
    return Standing.ACTIVE if account.password_hash is not None else Standing.NO_PASSWORD


def _managed(by: Principal) -> frozenset[int] | None:
    visible = by.school_ids(Permission.MANAGE_PEOPLE)
    if visible is not None and not visible:
        raise ForbiddenError(permission=Permission.MANAGE_PEOPLE.value)
    return visible


def matching(narrowed: Filter, *, by: Principal) -> list[int]:
    """Return the ids of the accounts ``by`` may manage that match, by name; one statement.

    Raises:
        ForbiddenError: ``by`` manages nobody anywhere.
    """
    visible = _managed(by)
    query = select(Account.id, Account.name, Account.username)
    grants = []
    if narrowed.role is not None:
        grants.append(AccountGrant.role == narrowed.role)
    if narrowed.school_id is not None:
        grants.append(AccountGrant.school_id == narrowed.school_id)
    if grants:
        query = query.where(Account.grants.any(and_(*grants)))
    if visible is not None:
        query = query.where(Account.grants.any(AccountGrant.school_id.in_(visible)))
    if narrowed.standing is Standing.DISABLED:
        query = query.where(Account.disabled_at.is_not(None))
    elif narrowed.standing is not None:
        has_password = narrowed.standing is Standing.ACTIVE
        query = query.where(Account.disabled_at.is_(None), Account.password_hash.is_not(None) == has_password)
    # Compared and put in order here: SQLite knows neither Å's small letter nor its place, and these are some hundreds.
    wanted = fold(narrowed.text)
    found = [row for row in db.session.execute(query) if wanted in row.name.casefold() or wanted in row.username]
    return [row.id for row in sorted(found, key=lambda row: (row.name.casefold(), row.username))]


def accounts(account_ids: Sequence[int]) -> list[Account]:
    """Return these accounts in this order, with their grants and persons; two statements."""
    query = select(Account).where(Account.id.in_(account_ids))
    options = (selectinload(Account.grants), joinedload(Account.person))
    found = {one.id: one for one in db.session.scalars(query.options(*options))}
    return [found[number] for number in account_ids if number in found]


def managed(username: str, *, by: Principal) -> Account:
    """Return the account of this user name, if ``by`` may manage it, with its grants and its person.

    Raises:
        ForbiddenError: ``by`` manages nobody anywhere.
        NotFoundError: there is none, or not for ``by``.
    """
    visible = _managed(by)
    query = select(Account).where(Account.username == fold(username))
    if visible is not None:
        query = query.where(Account.grants.any(AccountGrant.school_id.in_(visible)))
    found = db.session.scalars(query.options(selectinload(Account.grants), joinedload(Account.person))).first()
    if found is None:
        raise NotFoundError(kind="account", name=username)
    return found


class WhyNoClass(enum.StrEnum):
    """Why a teacher's account has no class."""

    NOT_IN_ROSTER = "not-in-roster"
    LEFT_ROSTER = "left-roster"
    OTHER_SCHOOLS = "other-schools"
    NO_CLASS = "no-class"


@dataclass(frozen=True, slots=True)
class Taught:
    """A class that the roster says somebody teaches."""

    class_id: int
    title: str
    school: str


@dataclass(frozen=True, slots=True)
class Teaching:
    """What a teacher's account teaches.

    Args:
        own: the classes that the account has.
        elsewhere: classes that the roster tells too, at schools where the account has no teacher's role.
        why_none: why there is no own class; None where there is one.
    """

    own: Sequence[Taught]
    elsewhere: Sequence[Taught]
    why_none: WhyNoClass | None


def teaching(account: Account, *, today: date) -> Teaching | None:
    """Return which classes an account has on ``today`` (local date); None where it is no teacher's.

    One statement at most, where grants and person are loaded.
    """
    at = {one.school_id for one in account.grants if one.role is Role.TEACHER}
    if not at:
        return None
    if account.person is None:
        return Teaching((), (), WhyNoClass.NOT_IN_ROSTER)
    query = (
        select(SchoolClass.id, SchoolClass.title, SchoolClass.school_id, School.name)
        .join(Membership, Membership.class_id == SchoolClass.id)
        .join(School, School.id == SchoolClass.school_id)
        .where(
            Membership.person_id == account.person.id,
            Membership.role == MembershipRole.TEACHER,
            *holding(today),
            SchoolClass.ended_at.is_(None),
        )
        .order_by(School.name, SchoolClass.title)
    )
    rows = db.session.execute(query).all()
    own = [Taught(row.id, row.title, row.name) for row in rows if row.school_id in at]
    elsewhere = [Taught(row.id, row.title, row.name) for row in rows if row.school_id not in at]
    return Teaching(own, elsewhere, _why_none(account, has_own=bool(own), has_other=bool(elsewhere)))


def _why_none(account: Account, *, has_own: bool, has_other: bool) -> WhyNoClass | None:
    if has_own:
        return None
    if has_other:
        return WhyNoClass.OTHER_SCHOOLS
    has_left = account.person is not None and account.person.ended_at is not None
    return WhyNoClass.LEFT_ROSTER if has_left else WhyNoClass.NO_CLASS
