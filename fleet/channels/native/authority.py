"""The keys this server signs documents for tablets with.

The assignment key signs configurations, every time one is fetched. Three root keys, two of which must sign, say which
keys have which role; they sign once, here at the first start, and belong away from this machine afterwards (README).
No key of the destructive role exists here, so nothing this server signs can wipe a tablet.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from agent_protocol import envelopes, signing
from agent_protocol.messages import ROOT_TYPE, SPEC, Envelope, Role, RoleKeys, RootDocument, encode
from fleet.crypto import read_or_create, read_or_create_signing_key

_ROOTS, _ROOT_THRESHOLD = 3, 2
_ROOT_LIFE = timedelta(days=10 * 365)


@dataclass(frozen=True, slots=True)
class Authority:
    """What the server signs with and what tablets pin."""

    assignment: ec.EllipticCurvePrivateKey
    root: Envelope

    @property
    def root_ends_at(self) -> datetime:
        """When tablets cease to believe the root document, and so everything this server signs."""
        return msgspec.json.decode(envelopes.payload_of(self.root), type=RootDocument).expires_at


def load(secrets_dir: Path, *, now: datetime) -> Authority:
    """Return the server's keys and root document, made at the first start.

    Raises:
        PermissionError: a key file can be read by others.
        TypeError: a key file holds another kind of key.
        ValueError: the root document does not name the assignment key.
    """
    assignment = read_or_create_signing_key(secrets_dir / "assignment-key.pem")
    stored = secrets_dir / "root.json"
    if not stored.exists():
        roots = [
            read_or_create_signing_key(secrets_dir / "root-keys" / f"root-{number}.pem")
            for number in range(1, _ROOTS + 1)
        ]
        read_or_create(stored, encode(_sign_root(roots, assignment, now)))
    root = msgspec.json.decode(read_or_create(stored, b""), type=Envelope)
    document = msgspec.json.decode(envelopes.payload_of(root), type=RootDocument)
    if signing.thumbprint(assignment.public_key()) not in document.roles[Role.ASSIGNMENT].keyids:
        raise ValueError("assignment-key.pem is not the key that root.json names: tablets would believe nothing")
    return Authority(assignment, root)


def _sign_root(
    roots: list[ec.EllipticCurvePrivateKey], assignment: ec.EllipticCurvePrivateKey, now: datetime
) -> Envelope:
    keys = {signing.thumbprint(key.public_key()): signing.to_jwk(key.public_key()) for key in (*roots, assignment)}
    root_ids = [signing.thumbprint(key.public_key()) for key in roots]
    document = RootDocument(
        spec=SPEC,
        version=1,
        issued_at=now,
        expires_at=now + _ROOT_LIFE,
        keys=keys,
        roles={
            Role.ROOT: RoleKeys(root_ids, _ROOT_THRESHOLD),
            Role.ASSIGNMENT: RoleKeys([signing.thumbprint(assignment.public_key())], 1),
            Role.CATALOGUE: RoleKeys([], 1),
            Role.DESTRUCTIVE: RoleKeys([], 2),
            Role.AGENT_RELEASE: RoleKeys([], 2),
        },
    )
    return envelopes.sign(ROOT_TYPE, encode(document), roots)
