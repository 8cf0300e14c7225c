"""What the Apple channel asks of the domain, each in one unit of work: a certificate, a check-in, a result.

Translation only: messages of the tablet's built-in client on one side, our areas on the other.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import Certificate
from flask import Flask

from fleet.apps import packages
from fleet.apps.files import PackageFiles
from fleet.channels import package_files
from fleet.channels.apple import app_files, cms, enrolment_profile, scep, setup_profile
from fleet.channels.apple.conversation import Conversation
from fleet.channels.apple.enrolment_profile import IdentityRequest, Server
from fleet.channels.apple.following import organisation
from fleet.channels.apple.messages import CheckIn, Result
from fleet.channels.apple.scep import FailInfo, ScepError, ScepRequest
from fleet.channels.http import Request, Response
from fleet.db import reading, transaction
from fleet.devices.enrolment import EnrolmentError, good_ticket
from fleet.mdm import declaring, idling, inviting
from fleet.mdm.authority import Authority, CertificateError, WeakKeyError
from fleet.mdm.idling import Call
from fleet.mdm.inviting import InvitationError, Issued

_log = structlog.get_logger("apple")
PREFIX = "/apple/"
_PACKAGE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Told:
    """What a tablet is told.

    Args:
        status: of HTTP.
        body: empty where there is nothing to say.
        is_json: whether it is JSON; else a property list.
    """

    status: int = 200
    body: bytes = b""
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class ScepOutcome:
    """The answer to a request for a certificate.

    Args:
        body: of the answer, None where the request cannot be read.
        is_issued: whether it brings a certificate.
    """

    body: bytes | None
    is_issued: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """By what a message's sender is known: one of the two is enough, and both must name the same.

    Args:
        signature: over the message, None where there is none.
        certificate: that a proxy which counts was shown (DER), None where there is none.
    """

    signature: bytes | None
    certificate: bytes | None = None


class Work:
    """The channel's units of work.

    Args:
        app: the application.
        authority: the device CA.
        address: of the server, as tablets reach it; without a slash at the end.
        topic: gives the push certificate's topic, None where there is none: then no tablet can be taken in.
        vault_key: seals what is secret in the database.
        now: the clock.
        signs_profiles: whether the enrolment profile is signed.
        tls_root: the CA of our TLS certificate, DER, where iPads do not trust it by themselves.
    """

    def __init__(
        self,
        app: Flask,
        authority: Authority,
        *,
        address: str,
        topic: Callable[[], str | None],
        vault_key: bytes,
        now: Callable[[], datetime],
        signs_profiles: bool = True,
        tls_root: bytes | None = None,
    ) -> None:
        self._app = app
        self._authority = authority
        self._address = f"{address}{PREFIX}"
        self._files = PackageFiles(app.extensions["fleet_config"].packages_dir)
        self._topic = topic
        self._signs_profiles, self._tls_root = signs_profiles, tls_root
        self._now = now
        # Reverse-DNS, and for ever the same: what an iPad has under another name it would not replace.
        host = str(urlsplit(address).hostname)
        self._identifier = ".".join([*reversed(host.split(".")), "mdm"])
        self._conversation = Conversation(
            self._identifier,
            url_of=lambda digest: f"{self._address}files/{digest}",
            manifest_url=lambda token: f"{self._address}apps/{token}/manifest.plist",
            profile_of=self._profile_of,
            vault_key=vault_key,
        )

    def invite(self, code: str) -> str | EnrolmentError:
        """Return the token of an invitation for a ticket's code, or why there is none.

        Who has no good code is told so without a transaction that writes: tablets wait for those.
        """
        now = self._now()
        try:
            with self._app.app_context():
                with reading():
                    good_ticket(code, now)
                with transaction():
                    return inviting.invite(code, now=now)
        except EnrolmentError as error:
            return error

    def profile(self, token: str) -> bytes | None:
        """Return the enrolment profile of an invitation; None where that is used or over, or there is no topic."""
        topic = self._topic()
        with self._app.app_context(), reading():
            if topic is None or not inviting.is_open(token, now=self._now()):
                return None
            return self._profile_of(token, topic)

    def _profile_of(self, token: str, topic: str) -> bytes:
        """Return the enrolment profile with an invitation's token in it; in a unit of work."""
        server = Server(
            identifier=self._identifier, organisation=organisation(), topic=topic,
            server_url=f"{self._address}mdm", check_in_url=f"{self._address}mdm",
            root_certificate=self._tls_root,
        )  # fmt: skip
        identity = IdentityRequest(
            url=f"{self._address}scep", name="device-ca", challenge=token, common_name="%SerialNumber%",
            fingerprint=hashlib.sha1(self._authority.current.der).digest(),  # noqa: S324 (Source: CAFingerprint)
        )  # fmt: skip
        body = enrolment_profile.enrolment_profile(server, identity)
        if not self._signs_profiles:
            return body
        ca = self._authority.current
        return cms.sign_profile(body, ca.key, ca.certificate)

    def expected_profile(self, token: str) -> bytes | None:
        """Return the enrolment profile of an invitation just made; None where there is no topic; in a unit of work."""
        topic = self._topic()
        return None if topic is None else self._profile_of(token, topic)

    def setup_profile(self, address: str) -> dict[str, Any]:
        """Return the profile that Apple shall give iPads when they are set up; in a unit of work.

        Args:
            address: where they then come.
        """
        return setup_profile.definition(
            address, identifier=self._identifier, organisation=organisation(), tls_root=self._tls_root
        )

    def app_file(self, request: Request, token: str, name: str) -> Response:
        """Return the manifest of a package of our own, or the package."""
        with self._app.app_context(), reading():
            package = packages.served(token)
        if package is None:
            return Response(404)
        if name == "manifest.plist":
            return app_files.manifest(self._address, token, package)
        path = self._files.path(package.digest)
        return package_files.content(
            request, path, digest=package.digest, size_bytes=package.size_bytes, media_type=_PACKAGE
        )

    def ca_certificate(self) -> bytes:
        """Return the certificate of the device CA, DER."""
        return self._authority.current.der

    def scep(self, message: bytes) -> ScepOutcome:
        """Return the answer to a request for a certificate.

        A renewal is asked for with a new profile, hence with a challenge of its own, like a first certificate. Who has
        no good one is told so before a certificate is made.
        """
        now = self._now()
        try:
            request = scep.read_request(message, self._authority, now=now)
        except ScepError as error:
            _log.info("unreadable", what="scep", reason=error.reason)
            return ScepOutcome(None, is_issued=False)
        try:
            certificate = self._certificate(request, now)
        except (InvitationError, WeakKeyError):
            return ScepOutcome(scep.failure(request, FailInfo.BAD_REQUEST), is_issued=False)
        return ScepOutcome(scep.success(request, certificate), is_issued=True)

    def _certificate(self, request: ScepRequest, now: datetime) -> Certificate:
        """Issue a certificate and note whose invitation it used up.

        Raises:
            InvitationError: the challenge is none, or no good any more.
            WeakKeyError: the key is too small.
        """
        token = request.challenge or ""
        key = request.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with self._app.app_context(), reading():
            if not inviting.is_open_to(token, key, now=now):
                raise InvitationError(reason="used, over or unknown")
        certificate = self._authority.issue(request.public_key, subject_name="tablet", now=now)
        der = certificate.public_bytes(serialization.Encoding.DER)
        issued = Issued(hashlib.sha256(der).hexdigest(), key, certificate.not_valid_after_utc)
        with self._app.app_context(), transaction():
            inviting.use(token, issued, now=now)
        return certificate

    def believe(self, evidence: Evidence, body: bytes) -> str:
        """Return what names the identity that a message is from.

        Raises:
            CmsError: nobody signed it, or in a way that is not taken.
            CertificateError: who signed, or showed a proxy a certificate, has none of ours that counts; or they differ.
        """
        now, shown = self._now(), None
        if evidence.certificate is not None:
            shown = self._authority.check(evidence.certificate, now).name
            if evidence.signature is None:
                return shown
        signer = cms.verify_detached(evidence.signature or b"", body)
        name = self._authority.check(signer.certificate, now).name
        if shown not in {None, name}:
            raise CertificateError("ambiguous")
        return name

    def check_in(self, message: CheckIn, thumbprint: str) -> Told:
        """Answer a check-in of an identity that is believed.

        Raises:
            IdentityError: the certificate is another tablet's, or its enrolment has ended.
        """
        with self._app.app_context(), transaction():
            status, body, is_json = self._conversation.check_in(message, thumbprint, now=self._now())
        return Told(status, body, is_json)

    def result(self, message: Result, thumbprint: str) -> tuple[int | None, bytes]:
        """Take a result; return whose it is and the next command as a property list, empty where there is none.

        Raises:
            IdentityError: as for :meth:`check_in`.
        """
        with self._app.app_context(), transaction():
            return self._conversation.result(message, thumbprint, now=self._now())

    def quiet(self, calls: Sequence[Call]) -> Sequence[int | None]:
        """Return for each client that calls whose it is, where there is nothing to do for it."""
        with self._app.app_context(), reading():
            return idling.quiet(calls, now=self._now())

    def enclosure(self, digest: str) -> bytes | None:
        """Return a file that declarations name."""
        with self._app.app_context(), reading():
            return declaring.enclosure(digest)
