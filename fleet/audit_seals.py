"""Seals on the audit: what shows that a line was changed, taken away or put elsewhere afterwards.

Lines are added by many at once, so they are sealed a little later, by one: some lines in their order, with the digest
of the seal before, signed with a key that the database does not have. Whoever can write into the database alone sets no
seal on what is sealed already.

Invariants: a line is sealed once; seals are numbered from 1 without a gap; each goes to the log of the server. What
cannot be seen in the database alone: what was done to a line before it was sealed, and newer seals that were taken
away, whose lines the server then seals once more as they are. For that a number and digest that were kept elsewhere, or
the log, are compared. Not here: what lines say (:mod:`fleet.audit`).
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Row, func, select, update

from fleet.access import Permission, Principal, require
from fleet.audit import AuditEntry, AuditSeal
from fleet.crypto import read_or_create_signing_key
from fleet.db import db, take_turn
from fleet.errors import InvalidError

KEY_FILE = "audit-key.pem"
LINES_AT_ONCE = 500
SEALED_WITHIN = timedelta(hours=1)  # a server does it within a minute; more is worth a look
FORMAT = "fleet-audit-1"
_log = structlog.get_logger("audit")
_NOTHING = "0" * 64  # what the first seal follows
_SEALS_AT_ONCE = 20
_CLOCKS_APART = timedelta(days=1)  # of who removed lines and who looks, and how long looking takes
_ECDSA = ec.ECDSA(SHA256())
_DIGEST = re.compile(r"[0-9a-f]{64}")
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
            ``lines``: one is another, elsewhere, or too many. ``known``: it is not the one that is known. ``none``:
            lines stand under it, and it is not there.
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
        late: how many lines are sealed long after their own instant, as where no server ran.
        head: number and digest of the newest seal, to be kept elsewhere; None where there is none.
        faults: what is wrong.
    """

    seals: int
    lines: int
    expired: int
    late: int
    head: tuple[int, str] | None
    faults: tuple[Fault, ...]


def seal(key: ec.EllipticCurvePrivateKey, *, now: datetime, at_most: int = LINES_AT_ONCE) -> int:
    """Seal the lines that are not sealed yet, at most so many; returns how many. For a job.

    Args:
        key: the server's, P-256.
        now: the instant.
        at_most: how many lines.

    Raises:
        InvalidError: the newest seal was set with another key.
    """
    if db.session.scalar(select(AuditEntry.id).where(AuditEntry.seal.is_(None)).limit(1)) is None:
        return 0
    take_turn("audit-seals")
    query = select(*_LINE).where(AuditEntry.seal.is_(None)).order_by(AuditEntry.id).limit(at_most)
    waiting = db.session.execute(query).all()
    if not waiting:  # somebody else was faster
        return 0
    before = db.session.scalars(select(AuditSeal).order_by(AuditSeal.number.desc()).limit(1)).first()
    if before is not None and not _is_signed(before, key.public_key()):
        raise InvalidError(kind="audit-key", reason="the newest seal was set with another one")
    number = before.number + 1 if before is not None else 1
    digest = _digest(before.digest if before is not None else _NOTHING, number, now, [_plain(one) for one in waiting])
    made = AuditSeal(number=number, at=now, lines=len(waiting), digest=digest)
    made.signature = base64.b64encode(key.sign(_signed(made), _ECDSA)).decode()
    db.session.add(made)
    db.session.flush()
    db.session.execute(
        update(AuditEntry), [{"id": one.id, "seal": number, "place": place} for place, one in enumerate(waiting)]
    )
    _log.info("sealed", seal=number, digest=digest, lines=len(waiting))
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
    last: int | None = None
    while True:
        query = select(*_SEAL).order_by(AuditSeal.number).limit(_SEALS_AT_ONCE)
        if last is not None:
            query = query.where(AuditSeal.number > last)
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


def unsealed(*, by: Principal) -> tuple[int, datetime | None]:
    """Return how many lines are not sealed yet, and the instant of the oldest.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    found = db.session.execute(select(func.count(), func.min(AuditEntry.at)).where(AuditEntry.seal.is_(None))).one()
    return found[0], found[1]


def strays(*, by: Principal) -> tuple[Fault, ...]:
    """Return the seals that lines stand under and that are not there.

    Raises:
        ForbiddenError: ``by`` may not read the audit.
    """
    require(by, Permission.READ_AUDIT)
    query = (
        select(AuditEntry.seal)
        .outerjoin(AuditSeal, AuditSeal.number == AuditEntry.seal)
        .where(AuditEntry.seal.is_not(None), AuditSeal.number.is_(None))
        .distinct()
        .order_by(AuditEntry.seal)
    )
    return tuple(Fault(number, "none") for number in db.session.scalars(query) if number is not None)


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
    number, before, count, lines, expired, late, is_known = 0, _NOTHING, 0, 0, 0, 0, known is None
    for one in seals:
        if one.number != number + 1:
            faults.append(Fault(number + 1, "gap"))
        number, count, lines = one.number, count + 1, lines + len(one.found)
        is_known = is_known or known == (one.number, one.digest)
        if not _is_signed(one, key):
            faults.append(Fault(number, "signature"))
        if not one.found and one.lines and one.at < now - kept + _CLOCKS_APART:
            expired += 1
        elif len(one.found) < one.lines:
            faults.append(Fault(number, "missing"))
        elif _digest(before, number, one.at, one.found) != one.digest:
            faults.append(Fault(number, "lines"))
        late += sum(1 for line in one.found if _instant(line) < one.at - SEALED_WITHIN)
        before = one.digest
    if known is not None and not is_known:
        faults.append(Fault(known[0], "known"))
    return Verdict(count, lines, expired, late, (number, before) if count else None, tuple(faults))


def _instant(line: Mapping[str, Any]) -> datetime:
    """Return a line's instant, as far as it has one: what is no line is a fault of its seal."""
    try:
        return datetime.fromisoformat(line["at"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return datetime.max.replace(tzinfo=UTC)


def _is_signed(one: AuditSeal | Sealed, key: ec.EllipticCurvePublicKey) -> bool:
    if not _DIGEST.fullmatch(one.digest):
        return False
    try:
        key.verify(base64.b64decode(one.signature), _signed(one), _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


def load_key(secrets_dir: Path, *, may_create: bool) -> ec.EllipticCurvePrivateKey:
    """Return the server's key.

    Args:
        secrets_dir: where it is kept.
        may_create: whether a missing one is made, as by a server; who only looks makes none.

    Raises:
        InvalidError: there is none and none may be made.
        PermissionError: others than its owner may read it.
        TypeError: the file holds another kind of key.
    """
    path = secrets_dir / KEY_FILE
    if not may_create and not path.exists():
        raise InvalidError(kind="audit-key", reason="it is made when the server starts, and is not there")
    return read_or_create_signing_key(path)


def to_pem(key: ec.EllipticCurvePublicKey) -> str:
    """Return a public key as text, for who verifies elsewhere."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def to_text(one: Sealed) -> str:
    """Return a seal with its lines as a line of an export."""
    told = {"seal": one.number, "at": one.at.astimezone(UTC).isoformat(), "count": one.lines, "digest": one.digest}
    return json.dumps({**told, "signature": one.signature, "lines": one.found}, sort_keys=True)


def from_text(text: str) -> Sealed:
    """Read a line of an export, which has one spelling only.

    Raises:
        InvalidError: it is none.
    """
    try:
        told = json.loads(text)
        at, found = datetime.fromisoformat(told["at"]), tuple(dict(line) for line in told["lines"])
        one = Sealed(told["seal"], at, told["count"], told["digest"], told["signature"], found)
        is_one = to_text(one) == text.rstrip("\n") and bool(_DIGEST.fullmatch(one.digest))
        is_one = is_one and type(one.number) is type(one.lines) is int and text.isascii()
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidError(kind="audit-export", reason=type(error).__name__) from None
    if not is_one:
        raise InvalidError(kind="audit-export", reason="another spelling")
    return one


def load_public(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public key.

    Raises:
        InvalidError: it is no P-256 key.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidError(kind="audit-key", reason="not PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidError(kind="audit-key", reason="not P-256")
    return key
