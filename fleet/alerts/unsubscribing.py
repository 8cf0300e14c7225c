"""Saying no by a link in a letter, without signing in.

The link has whose it is and which topics the letter was about, and a signature over both; it holds as long as the key
does, for letters are kept long. Whoever has it can say no for that reader, and do nothing else.

Source: RFC 8058 (a POST to the address says no, a GET only shows what it is about); RFC 2104 (HMAC).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.access import Principal
from fleet.alerts import topics
from fleet.alerts.models import AlertTopic
from fleet.crypto import read_or_create
from fleet.db import db
from fleet.errors import NotFoundError
from fleet.people.models import Account

PATH = "/alerts/unsubscribe/"  # and the token
_PURPOSE = b"unsubscribe/1:"
_MAC_BYTES = 20
_MAX_TOKEN = 300


@dataclass(frozen=True, slots=True)
class Wish:
    """What a link says no to.

    Args:
        account: whose.
        topics: of what.
    """

    account: Account
    topics: tuple[AlertTopic, ...]


def key_of(secrets_dir: Path) -> bytes:
    """Return the key that signs the links of this server, made where there is none.

    Raises:
        OSError: the folder of secrets cannot be used.
    """
    return read_or_create(secrets_dir / "unsubscribe.key", secrets.token_bytes(32))


def token(account_id: int, about: Collection[AlertTopic], *, key: bytes) -> str:
    """Return what stands at the end of a link.

    Args:
        account_id: whose.
        about: the topics of the letter.
        key: as :func:`key_of` gives it.
    """
    told = f"{account_id}.{'.'.join(sorted(about))}".encode()
    return base64.urlsafe_b64encode(_mac(told, key) + told).decode().rstrip("=")


def read(told: str, *, key: bytes) -> Wish:
    """Return what a link says no to.

    Args:
        told: the end of the link.
        key: as :func:`key_of` gives it.

    Raises:
        NotFoundError: it is none of ours.
    """
    unknown = NotFoundError(kind="unsubscribe-link", name="")
    if len(told) > _MAX_TOKEN:
        raise unknown
    try:
        raw = base64.b64decode(told + "=" * (-len(told) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise unknown from None
    signature, inside = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(signature, _mac(inside, key)):
        raise unknown
    account_id, *names = inside.decode().split(".")
    account = db.session.get(Account, int(account_id))
    if account is None:
        raise unknown
    known = {one.value for one in AlertTopic}
    return Wish(account, tuple(AlertTopic(name) for name in names if name in known))


def unsubscribe(told: str, *, key: bytes, now: datetime) -> Wish:
    """Do what a link says; doing it twice is as good as once.

    Args:
        told: the end of the link.
        key: as :func:`key_of` gives it.
        now: the instant.

    Raises:
        NotFoundError: it is none of ours.
    """
    wish = read(told, key=key)
    by = Principal("account", str(wish.account.id))
    for topic in wish.topics:
        topics.mute(wish.account, topic, by=by, now=now)
    return wish


def _mac(told: bytes, key: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + told, hashlib.sha256).digest()[:_MAC_BYTES]
