"""Signing in and out, and the sessions between.

Invariants: one answer for a wrong name, a wrong password and a disabled account, in the same time; a session's token
exists in clear text only in the browser; what a session may is read anew at each request. A session ends after 8 hours
without use, after 7 days in any case, by signing out, with a new password, and when the account is disabled.
Source: OWASP ASVS 5.0, 7.3 (session timeout), 6.3.8 (no telling which names exist).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import contains_eager, joinedload

from fleet import audit
from fleet.access import Principal
from fleet.crypto import random_token, token_digest
from fleet.db import carry_out, db
from fleet.errors import FleetError
from fleet.people import accounts, ending, limits, passwords
from fleet.people.limits import TooManyFailuresError
from fleet.people.models import Account, PasswordLink, SignInFailure, SignInSession

__all__ = [
    "Browser", "Compared", "Current", "Refused", "SignInRefusedError", "SignedIn", "TooManyFailuresError", "browsers",
    "compare", "current", "forget", "look_up", "session", "sign_in", "sign_out", "sign_out_elsewhere",
    "sign_out_everywhere", "touch",
]  # fmt: skip

IDLE = timedelta(hours=8)
LIFE = timedelta(days=7)
TOUCH_EVERY = timedelta(minutes=5)


class SignInRefusedError(FleetError):
    """Wrong name, wrong password or disabled account; it is not said which."""

    code = "sign-in-refused"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The sign-in is good; ``token`` is the session's and is not kept here."""

    token: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The sign-in is refused; the count of failures is in the running transaction, so commit it."""

    error: SignInRefusedError | TooManyFailuresError


@dataclass(frozen=True, slots=True)
class Current:
    """Whose session it is, and whether it is time to :func:`touch` it."""

    account: Account
    touch_due: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """A password that was compared ahead of the sign-in: with which stored form, and how that ended."""

    stored: str | None
    is_right: bool


def look_up(username: str, *, address: str, now: datetime) -> str | None:
    """Return what a password is to be compared with, None where there is no account. Reads only.

    Raises:
        TooManyFailuresError: one has to wait first.
    """
    folded = accounts.fold(username)
    limits.look(name=limits.name_subject(folded), address=limits.address_subject(address), now=now)
    if not accounts.is_username(folded):
        return None
    return db.session.scalar(select(Account.password_hash).where(Account.username == folded))


def compare(stored: str | None, password: str) -> Compared:
    """Compare a password with what :func:`look_up` gave, outside any transaction.

    A transaction locks the embedded database, so tablets would wait for every guess. How it ended counts for nothing,
    and is told to nobody, until :func:`sign_in` lets the attempt pass.
    """
    return Compared(stored, passwords.verify(stored, password))


def sign_in(
    username: str, password: str, *, address: str, now: datetime, compared: Compared | None = None
) -> SignedIn | Refused:
    """Sign somebody in, or say why not. The caller commits in both cases.

    Args:
        username: as typed; case does not matter.
        password: as typed.
        address: where the request came from, as the door trusts it.
        now: the instant.
        compared: from :func:`compare`, of the same password; made anew where it is missing or not of today's.
    """
    folded = accounts.fold(username)
    by_name, by_address = limits.name_subject(folded), limits.address_subject(address)
    try:
        limits.check(name=by_name, address=by_address, now=now)
    except TooManyFailuresError as error:
        return Refused(error)
    account = _account(folded)
    stored = account.password_hash if account is not None else None
    if compared is None or compared.stored != stored:  # else a new password was chosen in between
        compared = compare(stored, password)
    is_right = compared.is_right
    if account is None or not is_right or account.disabled_at is not None:
        limits.note_failure(by_name, by_address, now=now)
        _audit_refusal(account, is_right=is_right, now=now)
        return Refused(SignInRefusedError())
    if account.password_hash is not None and passwords.is_outdated(account.password_hash):
        account.password_hash = passwords.make_hash(password)
    accounts.find_in_roster(account)
    limits.forgive(folded)
    token = random_token()
    db.session.add(
        SignInSession(
            account_id=account.id,
            token_digest=token_digest(token),
            created_at=now,
            last_used_at=now,
            expires_at=now + LIFE,
        )
    )
    audit.record(
        Principal("account", str(account.id)), "people.signed-in", subject=f"account:{account.id}", now=now
    )  # fmt: skip
    db.session.flush()
    return SignedIn(token)


def _account(folded: str) -> Account | None:
    """Return the account of this name and hold its row: a new password or an end of it waits for us, or we for it."""
    if not accounts.is_username(folded):
        return None
    query = (
        select(Account)
        .where(Account.username == folded)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return db.session.scalars(query).first()


def _audit_refusal(account: Account | None, *, is_right: bool, now: datetime) -> None:
    """Say which account was meant, where there is one; what else was typed may be anybody's, or a password."""
    reason = "unknown" if account is None else "disabled" if account.disabled_at is not None else "password"
    audit.record(
        Principal("system"), "people.sign-in-refused", now=now, reason=reason,
        subject=f"account:{account.id}" if account is not None else "account:unknown",
        outcome="right password" if is_right else "wrong password",
    )  # fmt: skip


def _is_good(now: datetime) -> Any:
    return (SignInSession.expires_at > now) & (SignInSession.last_used_at > now - IDLE)


def current(token: str, *, now: datetime) -> Current | None:
    """Return whose session ``token`` is, with the account's grants; None where it is none, or not any more.

    One statement, whatever it finds.
    """
    query = (
        select(SignInSession)
        .join(SignInSession.account)
        .where(SignInSession.token_digest == token_digest(token), _is_good(now), Account.disabled_at.is_(None))
        .options(contains_eager(SignInSession.account).options(joinedload(Account.grants)))
        .execution_options(populate_existing=True)  # a role that was taken away is gone now
    )
    found = db.session.scalars(query).unique().one_or_none()
    return Current(found.account, found.last_used_at <= now - TOUCH_EVERY) if found is not None else None


def session(token: str, *, now: datetime) -> Account | None:
    """Return the account of a session, with its grants; None where it is no session, or not any more."""
    found = current(token, now=now)
    return found.account if found is not None else None


def touch(token: str, *, now: datetime) -> bool:
    """Note that a session is in use, every five minutes at most; returns whether it was noted. Writes."""
    query = (
        update(SignInSession)
        .where(
            SignInSession.token_digest == token_digest(token),
            _is_good(now),
            SignInSession.last_used_at <= now - TOUCH_EVERY,
        )
        .values(last_used_at=now)
    )
    return bool(carry_out(query))


def sign_out(token: str, *, now: datetime) -> None:
    """End one session; nothing happens where there is none."""
    query = select(SignInSession).where(SignInSession.token_digest == token_digest(token))
    found = db.session.scalars(query).one_or_none()
    if found is not None:
        carry_out(delete(SignInSession).where(SignInSession.id == found.id))
        db.session.expunge(found)
        own = Principal("account", str(found.account_id))
        audit.record(own, "people.signed-out", subject=f"account:{found.account_id}", now=now, count=1)


def sign_out_everywhere(account: Account, *, now: datetime) -> int:
    """End all sessions of an account; returns how many there were."""
    count = ending.end_sessions(account.id)
    own = Principal("account", str(account.id))
    audit.record(own, "people.signed-out", subject=f"account:{account.id}", now=now, count=count)
    return count


@dataclass(frozen=True, slots=True)
class Browser:
    """One browser in which an account is signed in; ``is_this`` where it is the one that asks."""

    since: datetime
    last_used_at: datetime
    ends_at: datetime
    is_this: bool


def browsers(account: Account, *, token: str | None, now: datetime) -> list[Browser]:
    """Return where an account is signed in, the browser that asks (by its ``token``) first, then the latest used."""
    query = select(SignInSession).where(SignInSession.account_id == account.id, _is_good(now))
    own = token_digest(token) if token is not None else None
    found = [
        Browser(one.created_at, one.last_used_at, min(one.expires_at, one.last_used_at + IDLE), one.token_digest == own)
        for one in db.session.scalars(query.order_by(SignInSession.last_used_at.desc()))
    ]
    return sorted(found, key=lambda one: not one.is_this)


def sign_out_elsewhere(account: Account, *, keep: str, now: datetime) -> int:
    """End all sessions of an account but the one of the token ``keep``; returns how many ended."""
    count = ending.end_sessions(account.id, keep=keep)
    if count:
        own = Principal("account", str(account.id))
        audit.record(own, "people.signed-out", subject=f"account:{account.id}", now=now, count=count)
    return count


def forget(*, now: datetime) -> int:
    """Delete what has no purpose any more: ended sessions, old failures, links used or expired; returns how many."""
    return (
        carry_out(
            delete(SignInSession).where(or_(SignInSession.expires_at <= now, SignInSession.last_used_at <= now - IDLE))
        )
        + carry_out(delete(SignInFailure).where(SignInFailure.at <= now - limits.WINDOW))
        + carry_out(delete(PasswordLink).where(or_(PasswordLink.used_at.is_not(None), PasswordLink.expires_at <= now)))
    )
