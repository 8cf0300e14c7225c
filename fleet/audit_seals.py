"""Seals on the audit: what shows that a line was changed, taken away or put elsewhere afterwards.

Lines are added by many at once, so they are sealed a little later, by one: some lines in their order, with the digest
of the seal before, signed with a key that the database does not have. Whoever can write into the database alone can
make no seal; who has the server's key as well cannot make the chain begin differently for who kept an earlier one.

Invariants: a line is sealed once; seals are numbered from 1 without a gap. What cannot be seen: a line that went before
it was sealed (a minute at most, while a server runs), and the newest seals cut off, unless one is compared with a
number and digest that were kept elsewhere. Not here: what lines say (:mod:`fleet.audit`).
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Row, func, select, update

from fleet.access import Permission, Principal, require
from fleet.audit import AuditEntry, AuditSeal
from fleet.db import db, take_turn
from fleet.errors import InvalidError

KEY_FILE = "audit-key.pem"
LINES_AT_ONCE = 2_000
FORMAT = "fleet-audit-1"
_NOTHING = "0" * 64  # what the first seal follows
_SEALS_AT_ONCE = 200
_ECDSA = ec.ECDSA(SHA256())
_SEAL = (AuditSeal.number, AuditSeal.at, AuditSeal.lines, AuditSeal.digest, AuditSeal.signature)
_LINE = (
    *(AuditEntry.id, AuditEntry.at, AuditEntry.actor_kind, AuditEntry.actor_id, AuditEntry.action),
    *(AuditEntry.subject, AuditEntry.fields, AuditEntry.seal),
)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A seal with the lines that are found under it, in their order.

    Args:
        number: of the seal.
        at: when it was set.
        lines: how many lines it was set on.
        digest: over the seal before and them, hex SHA-256.
        signature: of the digest, base64.
        found: the lines there are now, as they were sealed.
    """

    number: int
    at: datetime
    lines: int
    digest: str
    signature: str
    found: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at a seal.

    Args:
        number: of the seal.
        kind: ``gap``: it is not there. ``signature``: the server did not set it. ``missing``: lines are not there.
            ``lines``: one is another, elsewhere, or too many. ``known``: it is not the one that is known.
    """

    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of looking.

    Args:
        seals: how many were looked at.
        lines: how many lines under them.
        expired: of how many seals the lines are gone as their time is over.
        head: number and digest of the newest seal, to be kept elsewhere; None where there is none.
        faults: what is wrong.
    """

    seals: int
    lines: int
    expired: int
    head: tuple[int, str] | None
    faults: tuple[Fault, ...]


def seal(key: ec.EllipticCurvePrivateKey, *, now: datetime, at_most: int = LINES_AT_ONCE) -> int:
    """Seal the lines that are not sealed yet, at most so many; returns how many. For a job.

    Args:
        key: the server's, P-256.
        now: the instant.
        at_most: how many lines.
    """
    if db.session.scalar(select(AuditEntry.id).where(AuditEntry.seal.is_(None)).limit(1)) is None:
        return 0
    take_turn("audit-seals")
    query = select(*_LINE).where(AuditEntry.seal.is_(None)).order_by(AuditEntry.id).limit(at_most)
    waiting = db.session.execute(query).all()
    if not waiting:  # somebody else was faster
        return 0
    before = db.session.scalars(select(AuditSeal).order_by(AuditSeal.number.desc()).limit(1)).first()
    number = before.number + 1 if before is not None else 1
    digest = _digest(before.digest if before is not None else _NOTHING, number, now, [_plain(one) for one in waiting])
    made = AuditSeal(number=number, at=now, lines=len(waiting), digest=digest)
    made.signature = base64.b64encode(key.sign(_signed(made), _ECDSA)).decode()
    db.session.add(made)
    db.session.flush()
    db.session.execute(
        update(AuditEntry), [{"id": one.id, "seal": number, "place": place} for place, one in enumerate(waiting)]
    )
    return len(waiting)


def _plain(one: Row[Any]) -> dict[str, Any]:
    """Return a line as it is sealed and exported."""
    return {
        "id": one.id,
        "at": one.at.astimezone(UTC).isoformat(),
        "actor_kind": one.actor_kind,
        "actor_id": one.actor_id,
        "action": one.action,
        "subject": one.subject,
        "fields": one.fields,
    }


def _digest(before: str, number: int, at: datetime, lines: Iterable[Mapping[str, Any]]) -> str:
    """Return a seal's digest: over one JSON text a line, as the separator cannot stand in one."""
    told = [FORMAT, before, str(number), at.astimezone(UTC).isoformat()]
    told += [json.dumps(one, sort_keys=True, separators=(",", ":")) for one in lines]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _signed(one: AuditSeal | Sealed) -> bytes:
    """Return what is signed. When and on how many lines a seal was set must be known after they are gone, too."""
    return f"{FORMAT}\n{one.number}\n{one.at.astimezone(UTC).isoformat()}\n{one.lines}\n{one.digest}".encode()


def sealed(*, by: Principal) -> Iterator[Sealed]:
    """Give all seals with what is found under them, oldest first; some statements for many seals.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    last = 0
    while True:
        query = select(*_SEAL).where(AuditSeal.number > last).order_by(AuditSeal.number).limit(_SEALS_AT_ONCE)
        seals = db.session.execute(query).all()
        if not seals:
            return
        first, last = seals[0].number, seals[-1].number
        found: dict[int, list[Mapping[str, Any]]] = {one.number: [] for one in seals}
        under = select(*_LINE).where(AuditEntry.seal.between(first, last)).order_by(AuditEntry.seal, AuditEntry.place)
        for line in db.session.execute(under):
            found.setdefault(line.seal, []).append(_plain(line))
        for one in seals:
            yield Sealed(*one, found=tuple(found[one.number]))


def unsealed(*, by: Principal) -> int:
    """Return how many lines are not sealed yet.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    return int(db.session.scalar(select(func.count()).where(AuditEntry.seal.is_(None))) or 0)


def verify(
    seals: Iterable[Sealed],
    key: ec.EllipticCurvePublicKey,
    *,
    kept: timedelta,
    now: datetime,
    known: tuple[int, str] | None = None,
) -> Verdict:
    """Look whether lines are as they were sealed. Needs no database.

    Args:
        seals: all there are, oldest first.
        key: the server's.
        kept: for how long lines are kept; those of older seals may be gone.
        now: the instant.
        known: number and digest of a seal that were kept elsewhere.
    """
    faults: list[Fault] = []
    number, before, count, lines, expired, is_known = 0, _NOTHING, 0, 0, 0, known is None
    for one in seals:
        if one.number != number + 1:
            faults.append(Fault(number + 1, "gap"))
        number, count, lines = one.number, count + 1, lines + len(one.found)
        is_known = is_known or known == (one.number, one.digest)
        if not _is_signed(one, key):
            faults.append(Fault(number, "signature"))
        if not one.found and one.at < now - kept:
            expired += 1
        elif len(one.found) < one.lines:
            faults.append(Fault(number, "missing"))
        elif _digest(before, number, one.at, one.found) != one.digest:
            faults.append(Fault(number, "lines"))
        before = one.digest
    if known is not None and not is_known:
        faults.append(Fault(known[0], "known"))
    return Verdict(count, lines, expired, (number, before) if count else None, tuple(faults))


def _is_signed(one: Sealed, key: ec.EllipticCurvePublicKey) -> bool:
    try:
        key.verify(base64.b64decode(one.signature), _signed(one), _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


def to_pem(key: ec.EllipticCurvePublicKey) -> str:
    """Return a public key as text, for who verifies elsewhere."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def to_text(one: Sealed) -> str:
    """Return a seal with its lines as a line of an export."""
    told = {"seal": one.number, "at": one.at.astimezone(UTC).isoformat(), "count": one.lines, "digest": one.digest}
    return json.dumps({**told, "signature": one.signature, "lines": one.found}, sort_keys=True)


def from_text(text: str) -> Sealed:
    """Read a line of an export.

    Raises:
        InvalidError: it is none.
    """
    try:
        told = json.loads(text)
        at = datetime.fromisoformat(told["at"])
        found = tuple(dict(line) for line in told["lines"])
        number, lines, digest, signature = int(told["seal"]), int(told["count"]), str(told["digest"]), told["signature"]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidError(kind="audit-export", reason=type(error).__name__) from None
    if at.tzinfo is None:
        raise InvalidError(kind="audit-export", reason="no time zone")
    return Sealed(number, at, lines, digest, str(signature), found)


def load_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public key.

    Raises:
        InvalidError: it is no P-256 key.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError:
        raise InvalidError(kind="audit-key", reason="not PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidError(kind="audit-key", reason="not P-256")
    return key
