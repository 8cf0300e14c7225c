"""Accounts, and who may give which role to whom.

Invariants: nobody gives or takes a role without holding everything it allows at that very place, nor acts on an
account that has such a role; there is always a municipal administrator left who can sign in, whoever tries to remove
the last two at the same time. Not here: passwords, sign-in.
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from fleet import audit
from fleet.access import PERMISSIONS, Grant, Permission, Principal, Role, require
from fleet.db import db, take_turn
from fleet.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from fleet.people import ending, mail_addresses
from fleet.people.models import Account, AccountGrant
from fleet.schools import queries as schools
from fleet.schools.models import MembershipRole, Person, PersonKind, School

LANGUAGES = ("nb", "nn", "en")
THEMES = ("light", "dark")
# Where the pages have something else than a person of this name: `/people/new`.
RESERVED = frozenset({"new", "roles"})
MAX_NAME = 120
_USERNAME = re.compile(r"[\w.@+-]{2,255}")


def fold(username: str) -> str:
    """Return a name for signing in as it is stored: composed letters, no case, no space around."""
    return unicodedata.normalize("NFKC", username.strip()).casefold()


def is_username(folded: str) -> bool:
    """Whether an account can have this name: letters, digits and ``. _ @ + -``, 2 to 255 characters."""
    return _USERNAME.fullmatch(folded) is not None


def take_accounts_turn() -> None:
    """Wait for others who change accounts: what must hold over several of them is then checked and kept."""
    take_turn("accounts")


def create(username: str, name: str, *, by: Principal, now: datetime) -> Account:
    """Make an account without roles or password, linked to the roster's person of the same user name.

    Raises:
        ForbiddenError: ``by`` may not manage people.
        InvalidError: the user name or name cannot be one.
        ConflictError: the user name is taken.
    """
    require(by, Permission.MANAGE_PEOPLE)
    take_accounts_turn()
    return make(username, name, by=by, now=now)


def make(username: str, name: str, *, by: Principal, now: datetime) -> Account:
    """Make an account; the caller has asked for permission and taken the accounts' turn.

    Raises:
        InvalidError: the user name or name cannot be one.
        ConflictError: the user name is taken.
    """
    folded, shown = fold(username), name.strip()
    if not is_username(folded) or folded in RESERVED:
        raise InvalidError(kind="account", reason="username", expected="2 to 255 letters, digits and . _ @ + -")
    if not 1 <= len(shown) <= MAX_NAME or not shown.isprintable():
        raise InvalidError(kind="account", reason="name", expected=f"1 to {MAX_NAME} characters")
    if with_username(folded) is not None:
        raise ConflictError(kind="account", name=folded, reason="the user name is taken")
    account = Account(username=folded, name=shown, created_at=now, person_id=_person_of(folded))
    db.session.add(account)
    db.session.flush()
    audit.record(by, "people.created", subject=f"account:{account.id}", now=now)
    return account


def _person_of(folded: str) -> int | None:
    """Return the one living person with this user name who is no pupil and has no account yet."""
    # Compared here: SQLite's lower() knows only ASCII, and the staff of a municipality is some hundred rows.
    query = select(Person.id, Person.username).where(
        Person.ended_at.is_(None), Person.kind != PersonKind.PUPIL, Person.username.is_not(None)
    )
    found = [person_id for person_id, username in db.session.execute(query) if fold(username or "") == folded]
    if len(found) != 1 or db.session.scalar(select(Account.id).where(Account.person_id == found[0])) is not None:
        return None
    return int(found[0])


def find_in_roster(account: Account) -> None:
    """Link a teacher's account to its person where it has none yet, or one that left and came back under another id."""
    teaches = any(one.role is Role.TEACHER for one in account.grants)
    if teaches and (account.person is None or account.person.ended_at is not None):
        account.person_id = _person_of(account.username) or account.person_id
        db.session.flush()


def with_username(folded: str) -> Account | None:
    """Return the account of a folded user name, None where there is none."""
    query = select(Account).where(Account.username == folded).options(selectinload(Account.grants))
    return db.session.scalars(query).first() if is_username(folded) else None


def find(username: str) -> Account:
    """Return the account of this user name; case does not matter.

    Raises:
        NotFoundError: none; data has the nearest names.
    """
    found = with_username(fold(username))
    if found is None:
        known = db.session.scalars(select(Account.username)).all()
        nearest = difflib.get_close_matches(fold(username), known, n=3, cutoff=0.5)
        raise NotFoundError(kind="account", name=username, nearest=nearest)
    return found


def listed(*, by: Principal) -> Sequence[Account]:
    """Return the accounts ``by`` may manage, with grants and persons loaded, by user name.

    Raises:
        ForbiddenError: ``by`` manages nobody anywhere.
    """
    visible = by.school_ids(Permission.MANAGE_PEOPLE)
    query = select(Account).order_by(Account.username).options(selectinload(Account.grants), joinedload(Account.person))
    if visible is not None:
        if not visible:
            raise ForbiddenError(permission=Permission.MANAGE_PEOPLE.value)
        query = query.where(Account.grants.any(AccountGrant.school_id.in_(visible)))
    return db.session.scalars(query).all()


def require_to_hold(by: Principal, role: Role, school_id: int | None) -> None:
    """Refuse unless ``by`` manages people at the place and may there do everything that ``role`` may.

    Raises:
        ForbiddenError: something is missing; data names the permission.
    """
    for permission in (Permission.MANAGE_PEOPLE, *sorted(PERMISSIONS[role])):
        require(by, permission, school_id=school_id)


def require_to_manage(by: Principal, account: Account) -> None:
    """Refuse unless ``by`` may act on ``account``: holds whatever it holds, at each of its places.

    Raises:
        ForbiddenError: something is missing; data names the permission.
    """
    if not account.grants:
        require(by, Permission.MANAGE_PEOPLE)
    for one in account.grants:
        require_to_hold(by, one.role, one.school_id)


def grant(account: Account, role: Role, *, school_id: int | None = None, by: Principal, now: datetime) -> None:
    """Give an account a role, at one school or (``school_id`` None) everywhere.

    A teacher's role needs a school; a municipal administrator's has none.

    Raises:
        ForbiddenError: ``by`` does not manage people there, or lacks something that the role allows.
        InvalidError: the role needs a school, or has none.
        NotFoundError: there is no such school.
        ConflictError: the account has the role there already.
    """
    require_to_hold(by, role, school_id)
    if role is Role.TEACHER and school_id is None:
        raise InvalidError(kind="role", role=role.value, reason="needs a school")
    if role is Role.MUNICIPAL_ADMIN and school_id is not None:
        raise InvalidError(kind="role", role=role.value, reason="is for the whole municipality")
    school = db.session.get(School, school_id) if school_id is not None else None
    if school_id is not None and (school is None or school.ended_at is not None):
        raise NotFoundError(kind="school", name=str(school_id))
    take_accounts_turn()
    db.session.refresh(account, ["grants"])
    if any(one.role is role and one.school_id == school_id for one in account.grants):
        raise ConflictError(kind="role", role=role.value, school_id=school_id, reason="already granted")
    account.grants.append(AccountGrant(role=role, school_id=school_id))
    db.session.flush()
    find_in_roster(account)
    audit.record(
        by, "people.granted", subject=f"account:{account.id}", now=now, role=role.value, school_id=school_id
    )  # fmt: skip


def revoke(account: Account, role: Role, *, school_id: int | None = None, by: Principal, now: datetime) -> None:
    """Take a role from an account; what it allowed is gone with the account's next request.

    Raises:
        ForbiddenError: ``by`` does not manage people there, or lacks something that the role allows.
        NotFoundError: the account does not have the role there.
        ConflictError: it is the last municipal administrator's.
    """
    require_to_hold(by, role, school_id)
    take_accounts_turn()
    db.session.refresh(account, ["grants"])
    held = next((one for one in account.grants if one.role is role and one.school_id == school_id), None)
    if held is None:
        raise NotFoundError(kind="role", name=role.value)
    if role is Role.MUNICIPAL_ADMIN:
        _require_another_administrator(account)
    account.grants.remove(held)
    db.session.flush()
    audit.record(
        by, "people.revoked", subject=f"account:{account.id}", now=now, role=role.value, school_id=school_id
    )  # fmt: skip


def _require_another_administrator(account: Account) -> None:
    """Refuse to lose the last one: another must stay, and must have a password where this one has."""
    db.session.refresh(account, ["disabled_at", "password_hash"])
    if account.disabled_at is not None:
        return
    others = (
        select(Account.id)
        .join(AccountGrant)
        .where(AccountGrant.role == Role.MUNICIPAL_ADMIN, Account.id != account.id, Account.disabled_at.is_(None))
    )
    if account.password_hash is not None:
        others = others.where(Account.password_hash.is_not(None))
    if db.session.scalar(others.limit(1)) is None:
        raise ConflictError(kind="account", name=account.username, reason="last municipal administrator")


def disable(account: Account, *, by: Principal, now: datetime) -> None:
    """Keep an account out: its sessions and unused links end, it cannot sign in.

    Raises:
        ForbiddenError: ``by`` may not act on the account.
        ConflictError: it is disabled already, or the last municipal administrator.
    """
    take_accounts_turn()
    db.session.refresh(account, ["grants", "disabled_at"])
    require_to_manage(by, account)
    if account.disabled_at is not None:
        raise ConflictError(kind="account", name=account.username, reason="already disabled")
    if any(one.role is Role.MUNICIPAL_ADMIN for one in account.grants):
        _require_another_administrator(account)
    account.disabled_at = now
    db.session.flush()
    ending.end_sessions(account.id)
    ending.end_links(account.id)
    audit.record(by, "people.disabled", subject=f"account:{account.id}", now=now)


def enable(account: Account, *, by: Principal, now: datetime) -> None:
    """Let an account in again, with the password it had.

    Raises:
        ForbiddenError: ``by`` may not act on the account.
        ConflictError: it is not disabled.
    """
    take_accounts_turn()
    db.session.refresh(account, ["grants", "disabled_at"])
    require_to_manage(by, account)
    if account.disabled_at is None:
        raise ConflictError(kind="account", name=account.username, reason="not disabled")
    account.disabled_at = None
    db.session.flush()
    audit.record(by, "people.enabled", subject=f"account:{account.id}", now=now)


def set_language(account: Account, language: str | None, *, now: datetime) -> None:
    """Choose the language of an account's pages; None follows the browser.

    Raises:
        InvalidError: not a language we speak.
    """
    if language is not None and language not in LANGUAGES:
        raise InvalidError(kind="account", reason="language", expected=", ".join(LANGUAGES))
    account.language = language
    db.session.flush()
    own = Principal("account", str(account.id))
    audit.record(own, "people.language-set", subject=f"account:{account.id}", now=now)


def set_email(account: Account, email: str | None, *, by: Principal, now: datetime) -> None:
    """Choose where an account's mail goes; None: to the address the roster has, if any.

    Args:
        account: whose.
        email: the address.
        by: the account itself, or who may act on it.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` is somebody else, who may not act on the account.
        InvalidError: it is no address.
    """
    if by.account_id != account.id:
        require_to_manage(by, account)
    account.email = mail_addresses.read(email) if email is not None else None
    db.session.flush()
    audit.record(by, "people.email-set", subject=f"account:{account.id}", now=now)


def set_theme(account: Account, theme: str | None, *, now: datetime) -> None:
    """Choose whether an account's pages are light or dark; None follows the device.

    Raises:
        InvalidError: not a theme we have.
    """
    if theme is not None and theme not in THEMES:
        raise InvalidError(kind="account", reason="theme", expected=", ".join(THEMES))
    account.theme = theme
    db.session.flush()
    own = Principal("account", str(account.id))
    audit.record(own, "people.theme-set", subject=f"account:{account.id}", now=now)


def principal(account: Account, *, today: date) -> Principal:
    """Return what ``account`` may do now: its roles, and the classes it teaches on ``today`` (local date).

    Own are only classes of the schools where it is a teacher: what the roster says gives no role. A disabled account
    may do nothing. Asks the database once at most where the grants are loaded, as
    :func:`fleet.people.signing_in.session` loads them.
    """
    if account.disabled_at is not None:
        return Principal("account", str(account.id))
    grants = tuple(Grant(one.role, one.school_id) for one in account.grants)
    at = {one.school_id for one in grants if one.role is Role.TEACHER and one.school_id is not None}
    own: frozenset[int] = frozenset()
    if account.person_id is not None and at:
        own = schools.classes_of(account.person_id, role=MembershipRole.TEACHER, school_ids=at, today=today)
    return Principal("account", str(account.id), grants, own, today)
