"""The password that opens the agent's own settings on one Android tablet, and who may see it.

Invariants: nothing of it is stored: it follows from a secret of this server and the tablet's serial, so that two
tablets never share one and it stays what it was when a tablet comes again; nobody is shown it without a line in the
audit. A configuration carries its MD5 only (:mod:`fleet.channels.headwind`).
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from pathlib import Path

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.android.addresses import CHANNEL
from fleet.crypto import CODE_ALPHABET, read_or_create
from fleet.devices import queries as devices
from fleet.devices.models import Device, Platform
from fleet.errors import InvalidError, NotFoundError
from fleet.orders import kinds

_SECRET_BYTES = 32
_PURPOSE = b"headwind-admin-password/"
# 60 bits: a configuration carries its MD5, and whoever has that may try passwords as fast as machines can.
_CHARACTERS, _GROUP, _BITS = 12, 4, 5
# Small letters: somebody types it on a tablet's keyboard, which writes those first.
_ALPHABET = CODE_ALPHABET.lower()


def secret(secrets_dir: Path) -> bytes:
    """Return the secret that all of them follow from, made at the first need.

    Raises:
        OSError: the directory cannot be written, or others than its owner may read the secret.
    """
    return read_or_create(secrets_dir / "headwind.key", secrets.token_bytes(_SECRET_BYTES))


def admin_password(secret: bytes, serial: str) -> str:
    """Return a tablet's password, exactly as it is typed: ``7k2m-qpx4-tr9d``.

    Source: RFC 2104; the first 60 bits of HMAC-SHA-256, five to a character of Crockford's base 32.

    Args:
        secret: as :func:`secret` has it.
        serial: the tablet's, as its row has it.
    """
    made = hmac.new(secret, _PURPOSE + serial.encode(), hashlib.sha256).digest()
    number = int.from_bytes(made) >> (len(made) * 8 - _CHARACTERS * _BITS)
    told = "".join(_ALPHABET[number >> _BITS * place & 31] for place in reversed(range(_CHARACTERS)))
    return "-".join(told[place : place + _GROUP] for place in range(0, _CHARACTERS, _GROUP))


def may_be_shown(device: Device, *, by: Principal) -> bool:
    """Whether a tablet has such a password that ``by`` may ask :func:`shown` for; one statement where it may be so."""
    may = by.may(Permission.ORDER_PRIVILEGED, school_id=device.school_id)
    return may and _has_one(device)


def shown(device: Device, secret: bytes, *, reason: str, by: Principal, now: datetime) -> str:
    """Return a tablet's password, and note in the audit that ``by`` was shown it and why.

    Args:
        device: whose.
        secret: as :func:`secret` has it.
        reason: why it is needed; kept in the audit.
        by: who asks.
        now: the instant.

    Raises:
        ForbiddenError: ``by`` may not order privileged things of tablets at its school.
        InvalidError: the reason says nothing.
        NotFoundError: it never came with the Android agent.
    """
    require(by, Permission.ORDER_PRIVILEGED, school_id=device.school_id)
    if not _has_one(device):
        raise NotFoundError(kind="admin password", name=device.serial)
    if not kinds.is_reason(reason):
        raise InvalidError(kind="admin password", field="reason", expected=kinds.REASON)
    audit.record(
        by, "android.password-shown", subject=f"device:{device.id}", now=now,
        serial=device.serial, reason=reason.strip(),
    )  # fmt: skip
    return admin_password(secret, device.serial)


def _has_one(device: Device) -> bool:
    """Whether a tablet came with the agent the last time; also one that was lost or taken out of use since."""
    if device.platform is not Platform.ANDROID:
        return False
    last = next(iter(devices.enrolments(device)), None)
    return last is not None and last.channel == CHANNEL
