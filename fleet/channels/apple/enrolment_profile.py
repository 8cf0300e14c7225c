"""The profile that takes an iPad in: whom to trust, how to get an identity, and where its server is.

Invariants: the same server gives the same profile but for the identity, so that renewing a certificate is installing
the profile anew: the profile, the root and the MDM payload keep their identifiers and UUIDs and say the same, and the
SCEP payload, which has a new challenge, is a new one that the MDM payload then names. The rights asked for are those
that a command of ours needs; no phone numbers and hardware addresses are among them. An iPad refuses a later profile
that asks for more, names another topic or address, or changes its mind about users' connections.

Source: mdm/profiles/com.apple.mdm.yaml, com.apple.security.scep.yaml, com.apple.security.root.yaml and TopLevel.yaml of
Apple's device-management schema (iOS 18.1).
"""

import enum
import hashlib
from dataclasses import dataclass, field
from typing import Any

from fleet.channels.apple.contents import Piece
from fleet.channels.apple.payloads import named, profile_bytes

_TITLE_OF_ROOT = "tls-root.cer"


class Right(enum.IntFlag):
    """What an iPad lets us do. Source: AccessRights of com.apple.mdm."""

    INSPECT_PROFILES = 1
    INSTALL_PROFILES = 2
    LOCK_AND_CLEAR_PASSCODE = 4
    ERASE = 8
    DEVICE_INFORMATION = 16
    INSPECT_APPS = 256
    SECURITY_INFORMATION = 1024
    SETTINGS = 2048
    MANAGE_APPS = 4096


ACCESS_RIGHTS = int(sum(Right))
# Source: ServerCapabilities. It can never be added later, and an iPad that several share needs it.
CAPABILITIES = ("com.apple.mdm.per-user-connections",)

_KEY_BITS = 2048  # Source: Keysize: 1024, 2048 or 4096; where nothing is said, 1024
_SIGN_AND_ENCRYPT = 1 | 4  # Source: Key Usage
_RETRIES, _RETRY_DELAY_S = 3, 10


@dataclass(frozen=True, slots=True)
class Server:
    """The server as iPads know it.

    Args:
        identifier: of the profile, in reverse-DNS form; for ever the same.
        organisation: whose tablets they are.
        topic: of the push certificate, ``com.apple.mgmt.…``.
        server_url: where iPads ask for commands; https.
        check_in_url: where they check in; https.
        root_certificate: DER of the CA of our TLS certificate, where devices do not trust it by themselves.
    """

    identifier: str
    organisation: str
    topic: str
    server_url: str
    check_in_url: str
    root_certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class IdentityRequest:
    """How an iPad gets its identity certificate.

    Args:
        url: of the SCEP server; https.
        name: of the CA, as the SCEP server knows it.
        challenge: once only, for this enrolment.
        common_name: what the iPad calls itself in its request; the server chooses the certificate's own.
        fingerprint: of the CA's certificate, where the iPad shall compare it.
    """

    url: str
    name: str
    challenge: str = field(repr=False)
    common_name: str
    fingerprint: bytes | None = None


def enrolment_profile(server: Server, identity: IdentityRequest) -> bytes:
    """Return the enrolment profile as an XML property list, unsigned.

    Args:
        server: where to, and who we are.
        identity: how to get a certificate: new for each profile that is handed out.
    """
    (scep,) = named([_scep(server, identity)], identifier=server.identifier)
    scep["PayloadIdentifier"] = f"{server.identifier}.identity"  # the place has the challenge in it, the name has not
    others = [*_root(server), _mdm(server, scep["PayloadUUID"])]
    return profile_bytes(
        [*named(others, identifier=server.identifier), scep],
        identifier=server.identifier,
        title=server.organisation,
        organisation=server.organisation,
    )


def _root(server: Server) -> list[Piece]:
    if server.root_certificate is None:
        return []
    body = {"PayloadCertificateFileName": _TITLE_OF_ROOT, "PayloadContent": server.root_certificate}
    return [Piece("com.apple.security.root", "root", body)]


def _scep(server: Server, identity: IdentityRequest) -> Piece:
    content: dict[str, Any] = {
        "URL": identity.url,
        "Name": identity.name,
        "Subject": [[["O", server.organisation]], [["CN", identity.common_name]]],
        "Challenge": identity.challenge,
        "Keysize": _KEY_BITS,
        "Key Type": "RSA",
        "Key Usage": _SIGN_AND_ENCRYPT,
        "Retries": _RETRIES,
        "RetryDelay": _RETRY_DELAY_S,
    }
    if identity.fingerprint is not None:
        content["CAFingerprint"] = identity.fingerprint
    once = hashlib.sha256(identity.challenge.encode()).hexdigest()
    return Piece("com.apple.security.scep", f"identity.{once}", {"PayloadContent": content})


def _mdm(server: Server, identity_uuid: str) -> Piece:
    body = {
        "IdentityCertificateUUID": identity_uuid,
        "Topic": server.topic,
        "ServerURL": server.server_url,
        "CheckInURL": server.check_in_url,
        "SignMessage": True,
        "AccessRights": ACCESS_RIGHTS,
        "CheckOutWhenRemoved": True,
        "ServerCapabilities": list(CAPABILITIES),
    }
    return Piece("com.apple.mdm", "mdm", body)
