"""Signed documents: DSSE envelopes, and what a tablet decides about them.

Invariants: bytes are signed, so nothing depends on how JSON is written; a key signs once, and only for
the role that the root document gives the key; a configuration names its tablet, its key and a version that never goes
down. Pure decisions: reading and storing is the agent's business.
"""

import base64
import binascii
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from agent_protocol.errors import MalformedError, UntrustedError
from agent_protocol.messages import (
    CONFIG_TYPE,
    ROOT_TYPE,
    ConfigDocument,
    Envelope,
    Role,
    RootDocument,
    Signature,
    decode,
)
from agent_protocol.signing import load_jwk, thumbprint

_ECDSA = ec.ECDSA(SHA256())
T = TypeVar("T")


def _pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed. Source: DSSE protocol.md, pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, keys: Sequence[ec.EllipticCurvePrivateKey]) -> Envelope:
    """Return ``payload`` in an envelope signed by each of ``keys``."""
    signed = _pae(payload_type, payload)
    return Envelope(
        payload_type,
        base64.b64encode(payload).decode(),
        [Signature(thumbprint(key.public_key()), base64.b64encode(key.sign(signed, _ECDSA)).decode()) for key in keys],
    )


def _strict_base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UntrustedError("malformed") from None
    if base64.b64encode(raw).decode() != text:
        raise UntrustedError("malformed")
    return raw


def payload_of(envelope: Envelope) -> bytes:
    """Return the payload without verifying anything: for documents that were verified before they were stored.

    Raises:
        UntrustedError: ``malformed``.
    """
    return _strict_base64(envelope.payload)


def verify(
    envelope: Envelope,
    payload_type: str,
    keys: Mapping[str, ec.EllipticCurvePublicKey],
    threshold: int,
) -> bytes:
    """Return the payload if enough of ``keys`` signed it and every signature that is there holds.

    Args:
        envelope: as received.
        payload_type: the only type that is acceptable here.
        keys: the role's keys by thumbprint.
        threshold: how many different keys must have signed.

    Raises:
        UntrustedError: ``forged`` or ``malformed``.
    """
    if envelope.payload_type != payload_type:
        raise UntrustedError("forged")
    payload = _strict_base64(envelope.payload)
    signed = _pae(payload_type, payload)
    good = set()
    for signature in envelope.signatures:
        key = keys.get(signature.keyid)
        if key is None or signature.keyid in good:
            raise UntrustedError("forged")
        try:
            key.verify(_strict_base64(signature.sig), signed, _ECDSA)
        except InvalidSignature:
            raise UntrustedError("forged") from None
        good.add(signature.keyid)
    if len(good) < threshold:
        raise UntrustedError("forged")
    return payload


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """The root document a tablet pinned, and the decisions that follow from it.

    Args:
        document: the root document.
        envelope: the envelope it came in, to be stored.
    """

    document: RootDocument
    envelope: Envelope

    @staticmethod
    def pin(envelope: Envelope, *, now: datetime) -> "TrustedRoot":
        """Take the root document given at enrolment: it must be signed by enough of the root keys it names.

        Raises:
            UntrustedError: ``forged``, ``malformed`` or ``expired``.
        """
        unverified = _decode_payload(RootDocument, _strict_base64(envelope.payload))
        root = TrustedRoot(unverified, envelope)
        root._verify(envelope, ROOT_TYPE, Role.ROOT)
        if unverified.expires_at <= now:
            raise UntrustedError("expired")
        return root

    def keys(self, role: Role) -> tuple[dict[str, ec.EllipticCurvePublicKey], int]:
        """Return the keys of ``role`` by thumbprint, and its threshold.

        Raises:
            UntrustedError: ``malformed``: the root document contradicts itself.
        """
        wanted = self.document.roles.get(role)
        if wanted is None:
            raise UntrustedError("forged")
        found = {}
        for keyid in wanted.keyids:
            jwk = self.document.keys.get(keyid)
            if jwk is None or thumbprint(jwk) != keyid:
                raise UntrustedError("malformed")
            try:
                found[keyid] = load_jwk(jwk)
            except MalformedError:
                raise UntrustedError("malformed") from None
        return found, wanted.threshold

    def _verify(self, envelope: Envelope, payload_type: str, role: Role) -> bytes:
        keys, threshold = self.keys(role)
        return verify(envelope, payload_type, keys, threshold)

    def accept_config(
        self, envelope: Envelope, *, device_id: str, key_thumbprint: str, newest: ConfigDocument | None
    ) -> ConfigDocument:
        """Return the configuration if this tablet shall follow it.

        An expired one is still followed: expiry stops privileged orders (:func:`may_obey`), never a lesson.

        Args:
            envelope: as received.
            device_id: this tablet's name.
            key_thumbprint: this tablet's key.
            newest: the last configuration accepted.

        Raises:
            UntrustedError: ``forged``, ``malformed``, ``foreign`` or ``rolled-back``.
        """
        document = _decode_payload(ConfigDocument, self._verify(envelope, CONFIG_TYPE, Role.ASSIGNMENT))
        if document.role is not Role.ASSIGNMENT:
            raise UntrustedError("forged")
        if (document.device_id, document.key_thumbprint) != (device_id, key_thumbprint):
            raise UntrustedError("foreign")
        if newest is not None:
            # The same version may be issued again to renew its expiry, but then later and with the same content.
            older = (document.version, document.issued_at) < (newest.version, newest.issued_at)
            if older or document.version < newest.version:
                raise UntrustedError("rolled-back")
        _require_seamless(document)
        return document


def _require_seamless(document: ConfigDocument) -> None:
    entries = document.schedule
    seams = all(before.until == after.from_ for before, after in itertools.pairwise(entries))
    inner = all(entry.until is not None for entry in entries[:-1])
    rising = all(entry.from_ < entry.until for entry in entries if entry.from_ and entry.until)
    if entries[0].from_ is not None or entries[-1].until is not None or not (seams and inner and rising):
        raise UntrustedError("malformed")


def _decode_payload(kind: type[T], payload: bytes) -> T:
    try:
        return decode(kind, payload)
    except MalformedError:
        raise UntrustedError("malformed") from None


def may_obey(
    document: ConfigDocument, *, privileged: bool, signed_by: Collection[str], root: TrustedRoot, now: datetime
) -> bool:
    """Whether an order of ``document`` may be carried out.

    Args:
        document: an accepted configuration.
        privileged: whether the order cannot be undone (wipe, new root, agent update).
        signed_by: thumbprints of keys of the destructive role whose signatures over the order were verified.
        root: the pinned root.
        now: the tablet's corrected clock.
    """
    if not privileged:
        return True
    try:
        keys, threshold = root.keys(Role.DESTRUCTIVE)
    except UntrustedError:  # the pinned root has no such role, or contradicts itself about it
        return False
    return document.expires_at > now and len(set(signed_by) & keys.keys()) >= threshold
