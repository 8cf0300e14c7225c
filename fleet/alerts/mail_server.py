"""The mail server that takes our letters: what an administrator says of it, and how it stands.

Invariants: the password is sealed and never shown again; without TLS only this machine itself is spoken to; a server
that fails rests for a while, so that hundreds of letters do not each knock at a closed door.
"""

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from sqlalchemy import func, select, update

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.alerts import letters, topics
from fleet.alerts.models import Letter, LetterKind, MailSecurity, MailServer
from fleet.crypto import open_sealed, seal
from fleet.db import carry_out, db, take_turn
from fleet.errors import ConflictError, InvalidError
from fleet.people import mail_addresses
from fleet.people.models import Account

USUAL_PORT = {MailSecurity.TLS: 465, MailSecurity.STARTTLS: 587, MailSecurity.NONE: 25}
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_PURPOSE = "mail-server-password"
_RESTS = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30))
MAX_AUTHORITY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How the mail server is reached, as an administrator says it.

    Args:
        host: its name.
        port: where it listens.
        security: how the way there is guarded.
        sender: the address the letters come from.
        username: to sign in with; None: it asks for nothing.
        password: for that; None where it is saved: the one that is kept stays.
        authority_pem: whom its certificate leads to, PEM; None: those this machine trusts.
    """

    host: str
    port: int
    security: MailSecurity
    sender: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    authority_pem: str | None = None


def load(*, by: Principal) -> MailServer | None:
    """Return what is said of the mail server and how it stands; None: there is none, so no letter is sent.

    Raises:
        ForbiddenError: ``by`` does not run the server.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    return db.session.get(MailServer, 1)


def save(draft: Settings, *, vault_key: bytes, by: Principal, now: datetime) -> MailServer:
    """Send letters by this mail server from now on; what waits is tried at once.

    Args:
        draft: what is said of it.
        vault_key: seals the password.
        by: who says so.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` does not run the server.
        InvalidError: something of it cannot be; data has ``reason``.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    host = _host(draft.host)
    _check(draft, host)
    sender = mail_addresses.read(draft.sender)
    take_turn("mail-server")
    kept = db.session.get(MailServer, 1)
    sealed = kept.password_sealed if kept is not None else None
    if kept is not None and (kept.host, kept.username) != (host, draft.username):
        sealed = None  # a password is told to nobody but the one it was given for
    if draft.password is not None:
        sealed = seal(vault_key, draft.password.encode(), purpose=_PURPOSE)
    if draft.username is not None and sealed is None:
        raise InvalidError(kind="mail-server", reason="password", expected="the password for the user name")
    values = {
        "host": host,
        "port": draft.port,
        "security": draft.security,
        "username": draft.username,
        "password_sealed": sealed if draft.username is not None else None,
        "authority_pem": draft.authority_pem,
        "sender": sender,
        "changed_at": now,
        "failures": 0,
        "rests_until": None,
    }
    made = db.session.merge(MailServer(id=1, **values))
    db.session.flush()
    audit.record(by, "alerts.mail-server-set", subject="alerts:mail-server", now=now, host=host)
    return made


def remove(*, by: Principal, now: datetime) -> None:
    """Send no letters any more; they wait.

    Raises:
        ForbiddenError: ``by`` does not run the server.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    kept = db.session.get(MailServer, 1)
    if kept is not None:
        db.session.delete(kept)
        db.session.flush()
        audit.record(by, "alerts.mail-server-removed", subject="alerts:mail-server", now=now, host=kept.host)


def test(account: Account, *, by: Principal, now: datetime) -> Letter:
    """Have a letter sent at once that says only that letters arrive; the letter tells how it went.

    Args:
        account: who gets it.
        by: who wants to know.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` does not run the server.
        ConflictError: there is no mail server yet, or the account has no address.
    """
    require(by, Permission.EDIT_MUNICIPALITY)
    server = db.session.get(MailServer, 1)
    if server is None:
        raise ConflictError(kind="mail-server", reason="there is none yet")
    if topics.address_of(account) is None:
        raise ConflictError(kind="account", name=account.username, reason="no mail address")
    server.rests_until = None
    name = secrets.token_hex(8)
    made = Letter(
        key=f"test:{account.id}:{name}", kind=LetterKind.TEST, account_id=account.id, made_at=now, due_at=now,
        message_id=letters.new_message_id(letters.sender_domain()),
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def settings(*, vault_key: bytes, now: datetime, also_resting: bool = False) -> Settings | None:
    """Return how the mail server is reached; None where there is none, or it rests.

    Args:
        vault_key: opens the password.
        now: the instant.
        also_resting: whether one that rests is told too: somebody wants to know, and it is asked once.

    Raises:
        UnsealError: the password was sealed with another key.
    """
    kept = db.session.get(MailServer, 1, populate_existing=True)
    if kept is None or (_rests(kept, now) and not also_resting):
        return None
    password = None
    if kept.password_sealed is not None:
        password = open_sealed(vault_key, kept.password_sealed, purpose=_PURPOSE).decode()
    return Settings(
        kept.host, kept.port, kept.security, kept.sender, kept.username, password, kept.authority_pem
    )  # fmt: skip


def _rests(kept: MailServer, now: datetime) -> bool:
    """Whether it is left alone; not for longer than it ever is, where the clock was ahead when it failed."""
    return kept.rests_until is not None and now < kept.rests_until <= now + 2 * _RESTS[-1]


def worked(*, now: datetime) -> None:
    """Note that the mail server answers."""
    _note(worked_at=now, failed_at=None, failure=None, failures=0, rests_until=None)


def failed(reason: str, *, now: datetime) -> None:
    """Note that the mail server does not do its part, and let it rest: longer each time, up to half an hour.

    Args:
        reason: a few words.
        now: the instant.
    """
    failures = db.session.scalar(select(func.coalesce(func.max(MailServer.failures), 0))) or 0
    rest = _RESTS[min(failures, len(_RESTS) - 1)]
    _note(failed_at=now, failure=reason[:200], failures=failures + 1, rests_until=now + rest)


def _note(**values: object) -> None:
    carry_out(update(MailServer).values(**values))


def _host(told: str) -> str:
    try:
        host = told.strip().rstrip(".").encode("idna").decode() if not told.isascii() else told.strip().rstrip(".")
    except UnicodeError:
        host = ""
    if not (_HOST.fullmatch(host) or host in _HERE):
        raise InvalidError(kind="mail-server", reason="host", expected="the name of a mail server")
    return host.lower()


def _check(draft: Settings, host: str) -> None:
    if not 1 <= draft.port <= 65_535:
        raise InvalidError(kind="mail-server", reason="port", expected="1 to 65535")
    if draft.security is MailSecurity.NONE and host not in _HERE:
        raise InvalidError(kind="mail-server", reason="security", expected="tls or starttls, but for this machine")
    for told in (draft.username, draft.password):
        if told is not None and not (1 <= len(told) <= 255 and told.isprintable()):
            raise InvalidError(kind="mail-server", reason="sign-in", expected="1 to 255 characters")
    if draft.authority_pem is not None:
        try:
            found = x509.load_pem_x509_certificates(draft.authority_pem[:MAX_AUTHORITY].encode())
        except ValueError:
            found = []
        if not found:
            raise InvalidError(kind="mail-server", reason="authority", expected="certificates, PEM")
