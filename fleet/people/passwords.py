"""Passwords: what makes one good enough, how it is kept, and the one-time links by which it is chosen.

Invariants: nobody but the owner ever knows a password, so an administrator gives a link, not a password; a link works
once, however many try at the same time; whoever asks with an unknown name waits for a hash like everybody else.
Length and a list of bad ones, no rules of composition and no expiry.
Source: NIST SP 800-63B-4, section 3.1.1; OWASP ASVS 5.0, chapter V6.
"""

import functools
import itertools
import os
import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

import argon2
from argon2.exceptions import VerificationError
from sqlalchemy import select, update

from fleet import audit
from fleet.access import Principal, Role
from fleet.crypto import random_token, token_digest
from fleet.db import carry_out, db
from fleet.errors import ConflictError, InvalidError
from fleet.people import accounts, ending, limits
from fleet.people.models import Account, AccountGrant, PasswordLink

MIN_LENGTH, MAX_LENGTH = 12, 256
LINK_LIFE = timedelta(days=2)

# 19 MiB, two passes, one lane: about 25 ms, and ten at a time fit into a small machine.
# Source: OWASP Password Storage Cheat Sheet, Argon2id; RFC 9106 section 3.1.
_HASHER = argon2.PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=argon2.Type.ID
)

# Half of the machine at most compares passwords, however many ask: the rest is the tablets'.
_AT_ONCE = threading.BoundedSemaphore(max(1, (os.cpu_count() or 1) // 2))

# What is left of a popular password without digits and signs around it; whole ones that have digits inside below.
_COMMON_WORDS = frozenset(
    {
        "admin", "administrator", "changeme", "football", "fotball", "hemmelig", "hemmeligpassord", "iloveyou",
        "kommune", "letmein", "letmeinplease", "lærer", "mittpassord", "mypassword", "nettbrett", "norge", "passord",
        "passordet", "passordpassord", "passwd", "password", "passwordpassword", "qazwsx", "qazwsxedc", "qwerty",
        "qwertyuiop", "qwertyuiopå", "secret", "skole", "skolen", "sommer", "velkommen", "vinter", "welcome",
    }
)  # fmt: skip
_COMMON_WHOLE = frozenset(
    {"1q2w3e4r5t6y", "1qaz2wsx3edc", "p@ssw0rd1234", "q1w2e3r4t5y6", "qwerty123456", "zaq12wsxcde3"}
)
_REPEATED = re.compile(r"(.{1,4})\1+.{0,3}", re.DOTALL)
_AROUND = re.compile(r"^[\d\W_]+|[\d\W_]+$")


class PasswordWeakError(InvalidError):
    """The password is not good enough.

    Data: ``reason`` (``too-short``, ``too-long``, ``username``, ``common``, ``repeated``), ``minimum``, ``maximum``.
    """

    code = "password-weak"


class PasswordWrongError(InvalidError):
    """The password given as the present one is not."""

    code = "password-wrong"


class LinkInvalidError(InvalidError):
    """The link cannot be used: unknown, used or expired, and it is not said which."""

    code = "link-invalid"


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """For whom a link is; the first administrator has no name yet."""

    username: str | None
    name: str | None
    is_first_admin: bool


def _normal(password: str) -> str:
    """Return the letters that were meant, however the keyboard composed them (NIST SP 800-63B-4, section 3.1.1.2).

    Cut behind what no password can have, so that length costs nothing and a longer text still equals none.
    """
    return unicodedata.normalize("NFKC", password)[: MAX_LENGTH + 1]


def check_strength(password: str, *, username: str) -> None:
    """Refuse a password that is easily guessed.

    Raises:
        PasswordWeakError: it is; data says why.
    """
    reason = _weakness(password, accounts.fold(username))
    if reason is not None:
        raise PasswordWeakError(reason=reason, minimum=MIN_LENGTH, maximum=MAX_LENGTH)


def _weakness(password: str, username: str) -> str | None:
    normal = _normal(password)
    folded = normal.casefold()
    own = {username, username.partition("@")[0]}
    if min(len(password), len(normal)) < MIN_LENGTH:  # typed, too: one ligature can stand for eighteen letters
        return "too-short"
    if len(normal) > MAX_LENGTH:
        return "too-long"
    if any(len(word) > 2 and word in folded for word in own):
        return "username"
    if _REPEATED.fullmatch(folded):
        return "repeated"
    if folded in _COMMON_WHOLE or _AROUND.sub("", folded) in _COMMON_WORDS or _is_run(folded):
        return "common"
    return None


def _is_run(text: str) -> bool:
    """Whether each character follows the one before, as in 123456789012 and abcdefghijkl, or all downwards."""
    steps = {ord(after) - ord(before) for before, after in itertools.pairwise(text)}
    return any(steps <= {step, -9 * step} for step in (1, -1))


def make_hash(password: str) -> str:
    """Return the form of ``password`` that may be stored."""
    return _HASHER.hash(_bytes(password))


def _bytes(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")


@functools.cache
def _nobodys_hash() -> str:
    """Return the hash of a password that nobody has, to be verified where there is no account."""
    return make_hash(secrets.token_urlsafe(32))


def verify(stored: str | None, password: str) -> bool:
    """Whether ``password`` is the one that ``stored`` was made from; takes as long where there is none."""
    known = stored if stored is not None else _nobodys_hash()
    try:
        with _AT_ONCE:
            return _HASHER.verify(known, _bytes(password)) and stored is not None
    except VerificationError:
        return False


def is_outdated(stored: str) -> bool:
    """Whether ``stored`` was made with other parameters than those of today."""
    return _HASHER.check_needs_rehash(stored)


def issue_link(account: Account | None, *, by: Principal, now: datetime, life: timedelta = LINK_LIFE) -> str:
    """Make a one-time link for choosing a password and return its token, which is not kept.

    Earlier links of the same account that nobody has used end.

    Args:
        account: whose password; None for the first administrator's account, which the link makes.
        by: who makes it.
        now: the instant.
        life: how long it is good.

    Raises:
        ForbiddenError: ``by`` may not act on the account.
        ConflictError: the account is disabled; or there is no first administrator to come, as there are accounts.
    """
    if account is None:
        accounts.require_to_hold(by, Role.MUNICIPAL_ADMIN, None)
        accounts.take_accounts_turn()
        if _any_account():
            raise ConflictError(kind="account", reason="there are accounts already")
    else:
        accounts.require_to_manage(by, account)
        if account.disabled_at is not None:
            raise ConflictError(kind="account", name=account.username, reason="disabled")
    account_id = account.id if account is not None else None
    ending.end_links(account_id)
    token = random_token()
    link = PasswordLink(
        account_id=account_id, token_digest=token_digest(token), created_at=now, expires_at=now + life
    )  # fmt: skip
    db.session.add(link)
    db.session.flush()
    subject = f"account:{account_id}" if account_id is not None else "account:first"
    audit.record(by, "people.link-issued", subject=subject, now=now, ends_at=link.expires_at.isoformat())
    return token


def _any_account() -> bool:
    return db.session.scalar(select(Account.id).limit(1)) is not None


def first_admin_link(*, now: datetime) -> str | None:
    """Return the token of a new link for the first administrator, None where there is an account already."""
    accounts.take_accounts_turn()  # two servers that start together: the later one's link is the good one
    if _any_account():
        return None
    return issue_link(None, by=Principal.job("first-start"), now=now)


def look_up_link(token: str, *, now: datetime) -> LinkInfo:
    """Return for whom a link is.

    Raises:
        LinkInvalidError: it cannot be used.
    """
    account = _link(token, now)[1]
    if account is None:
        return LinkInfo(None, None, is_first_admin=True)
    return LinkInfo(account.username, account.name, is_first_admin=False)


def _link(token: str, now: datetime) -> tuple[PasswordLink, Account | None]:
    """Return the link that can be used, and its account."""
    row = db.session.execute(
        select(PasswordLink, Account)
        .outerjoin(Account, Account.id == PasswordLink.account_id)
        .where(
            PasswordLink.token_digest == token_digest(token),
            PasswordLink.used_at.is_(None),
            PasswordLink.expires_at > now,
            Account.disabled_at.is_(None),
        )
    ).one_or_none()
    if row is None or (row[1] is None and _any_account()):
        raise LinkInvalidError
    return row[0], row[1]


def use_link(
    token: str, password: str, *, username: str | None = None, name: str | None = None, now: datetime
) -> Account:
    """Choose a password by a link, which is then used up; all sessions of the account end.

    Args:
        token: from :func:`issue_link`.
        password: the new one.
        username: of the account to make, for the first administrator only.
        name: of the account to make, for the first administrator only.
        now: the instant.

    Raises:
        LinkInvalidError: it cannot be used, or somebody else was faster.
        PasswordWeakError: the password is not good enough; the link stays good.
        InvalidError: the first administrator's user name or name cannot be one.
    """
    link, account = _link(token, now)
    if account is None:
        accounts.take_accounts_turn()
    chosen = account.username if account is not None else username or ""
    check_strength(password, username=chosen)
    stored = make_hash(password)
    if not _burn(link, now) or (account is None and _any_account()):
        raise LinkInvalidError
    if account is None:
        account = _first_administrator(chosen, name or "", now)
    account.password_hash = stored
    db.session.flush()
    ending.end_sessions(account.id)
    ending.end_links(account.id)
    limits.forgive(account.username)  # who was locked out by a guesser gets in again this way
    own = Principal("account", str(account.id))
    audit.record(own, "people.password-chosen", subject=f"account:{account.id}", now=now, reason="link")
    return account


def _burn(link: PasswordLink, now: datetime) -> bool:
    """Use a link up; False where somebody else did at the same time."""
    query = (
        update(PasswordLink)
        .where(PasswordLink.id == link.id, PasswordLink.used_at.is_(None), PasswordLink.expires_at > now)
        .values(used_at=now)
    )
    return bool(carry_out(query))


def _first_administrator(username: str, name: str, now: datetime) -> Account:
    system = Principal("system")
    account = accounts.make(username, name, by=system, now=now)
    account.grants.append(AccountGrant(role=Role.MUNICIPAL_ADMIN, school_id=None))
    db.session.flush()
    audit.record(
        system, "people.granted", subject=f"account:{account.id}", now=now,
        role=Role.MUNICIPAL_ADMIN.value, school_id=None,
    )  # fmt: skip
    return account


def change(account: Account, old: str, new: str, *, keep: str | None = None, now: datetime) -> None:
    """Change an account's password; its other sessions end.

    A wrong ``old`` counts as a failed sign-in of the account's name, if the caller commits in spite of the error: catch
    :class:`PasswordWrongError` inside the transaction.

    Args:
        account: whose.
        old: the present password.
        new: the next one.
        keep: token of the session that stays, the one that asks; None ends them all.
        now: the instant.

    Raises:
        TooManyFailuresError: too many wrong guesses of late.
        PasswordWrongError: ``old`` is not the present one.
        PasswordWeakError: ``new`` is not good enough.
    """
    subject = limits.name_subject(account.username)
    limits.check(name=subject, address=None, now=now)
    db.session.refresh(account, with_for_update={"key_share": True})
    own = Principal("account", str(account.id))
    if not verify(account.password_hash, old):
        limits.note_failure(subject, now=now)
        audit.record(own, "people.password-refused", subject=f"account:{account.id}", now=now)
        db.session.flush()
        raise PasswordWrongError
    check_strength(new, username=account.username)
    account.password_hash = make_hash(new)
    db.session.flush()
    ending.end_sessions(account.id, keep=keep)
    ending.end_links(account.id)
    audit.record(own, "people.password-chosen", subject=f"account:{account.id}", now=now, reason="change")
