"""Tokens: the words by which tablets with the open agent are known, each a part of its tablet's address.

The agent has no key of its own, so what it calls itself with is an address that nobody can guess. It moves to another
when it is told one (``newServerUrl``), tries that first, and goes on with the one before where it fails; so the one
before stays good until the newer was seen.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import or_, select

from fleet import audit
from fleet.access import Permission, Principal, require
from fleet.android.models import AgentClient
from fleet.crypto import token_digest
from fleet.db import among_texts, db, id_set, take_turn
from fleet.devices import states
from fleet.devices.models import Device
from fleet.errors import ConflictError, NotFoundError

_LENGTH = 48  # of hex: 192 bits


class TokenUnusedError(ConflictError):
    """The tablet has not used its first token yet, and has no other that it could go on with. Data: ``serial``."""

    code = "android-token-unused"


def token(secret: bytes, seed: str, generation: int) -> str:
    """Return the token of a seed and a generation, in small letters and digits.

    Args:
        secret: of the server.
        seed: of the enrolment.
        generation: counts the tokens of one enrolment, from 1 on.
    """
    told = f"fleet android token/{seed}/{generation}".encode()
    return hmac.new(secret, told, hashlib.sha256).hexdigest()[:_LENGTH]


def new_seed() -> str:
    """Return a seed for a new enrolment."""
    return secrets.token_hex(16)


def begin(client: AgentClient, secret: bytes) -> None:
    """Give a client that comes anew its first token; the former ones are worth nothing."""
    client.seed, client.generation = new_seed(), 1
    client.token_digest = token_digest(token(secret, client.seed, 1))
    client.former_digest = client.seen_at = None


def rotate(device: Device, *, secret: bytes, by: Principal, now: datetime) -> None:
    """Give a tablet another token; the present one is good until the new one was seen.

    One that has not used its newest token yet keeps the one that it is known by, and gets another newest one.

    Raises:
        ForbiddenError: ``by`` may not order what cannot be made good at the tablet's school.
        NotFoundError: the tablet has no open agent that is enrolled.
        TokenUnusedError: it is still coming in.
    """
    require(by, Permission.ORDER_PRIVILEGED, school_id=device.school_id)
    take_turn("assignments")
    client = db.session.get(AgentClient, device.id, with_for_update=True, populate_existing=True)
    db.session.refresh(device.state)
    if client is None or device.state.key_thumbprint != client.key_thumbprint:
        raise NotFoundError(kind="android tablet", name=device.serial)
    if client.seen_at is None and client.former_digest is None:
        raise TokenUnusedError(serial=device.serial)
    if client.seen_at is not None:
        client.former_digest, client.seen_at = client.token_digest, None
    client.generation += 1
    client.token_digest = token_digest(token(secret, client.seed, client.generation))
    db.session.flush()
    audit.record(by, "android.token-rotated", subject=f"device:{device.id}", now=now, serial=device.serial)
    states.lock(id_set([device.id]))
    states.have_fetched([device.id])


def use(client: AgentClient, digest: str, *, now: datetime) -> None:
    """Note that a tablet speaks under its newest token, if it does: from here on the one before is worth nothing.

    Args:
        client: held by the caller.
        digest: SHA-256 of the token that it speaks under.
        now: the instant.
    """
    if client.token_digest == digest and client.seen_at is None:
        client.seen_at, client.former_digest = now, None


def owners(digests: Collection[str]) -> dict[str, int]:
    """Return whose tokens these are, by the tokens' SHA-256; one statement."""
    client = AgentClient
    query = select(client.device_id, client.token_digest, client.former_digest).where(
        or_(among_texts(client.token_digest, digests), among_texts(client.former_digest, digests))
    )
    found: dict[str, int] = {}
    for device_id, *known in db.session.execute(query):
        found |= dict.fromkeys((one for one in known if one is not None), device_id)
    return found
