"""A device simulator as others write them, after the wire contract alone: the least that works with their servers.

It shares no line with the server, nor with our own simulated iPad (``tests.ipads``), and is as strict as such programs
are: it reads unsigned profiles only, compares content types letter by letter, takes the first certificate it is given,
demands the status 200 and nothing else, and keeps its connection. Its cryptography is as old as theirs: SHA-1, single
DES, attributes in no order.
"""

import base64
import hashlib
import http.client
import json
import os
import plistlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

_DATA, _SIGNED, _ENVELOPED = "2a864886f70d010701", "2a864886f70d010702", "2a864886f70d010703"
_CONTENT_TYPE, _DIGEST, _TIME = "2a864886f70d010903", "2a864886f70d010904", "2a864886f70d010905"
_CHALLENGE, _EXTENSIONS = "2a864886f70d010907", "2a864886f70d01090e"
_SHA1, _RSA, _RSA_SHA1, _RSA_SHA256 = "2b0e03021a", "2a864886f70d010101", "2a864886f70d010105", "2a864886f70d01010b"
_DES_CBC = "2b0e030207"
_SCEP = "6086480186f8450109"  # and one number
_CHECK_IN = "application/x-apple-aspen-mdm-checkin"
_NULL = b"\x05\x00"


class NotAcceptedError(Exception):
    """The server did something that such a program does not take."""


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    count = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 + count]) + size.to_bytes(count, "big") + body


def _oid(packed: str) -> bytes:
    return _der(0x06, bytes.fromhex(packed))


def _attribute(packed: str, value: bytes) -> bytes:
    return _der(0x30, _oid(packed), _der(0x31, value))


def _signed_by(certificate: x509.Certificate) -> bytes:
    serial = certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return _der(0x30, certificate.issuer.public_bytes(), _der(0x02, number))


def _sign(content: bytes, key: rsa.RSAPrivateKey, certificate: x509.Certificate, extra: bytes, *, shown: bool) -> bytes:
    """Return SignedData, DER, SHA-1, with signed attributes."""
    inside = b"".join(
        [
            _attribute(_CONTENT_TYPE, _oid(_DATA)),
            _attribute(_TIME, _der(0x17, b"261130090000Z")),
            _attribute(_DIGEST, _der(0x04, hashlib.sha1(content).digest())),  # noqa: S324 (as such programs do)
            extra,
        ]
    )
    signature = key.sign(_der(0x31, inside), PKCS1v15(), hashes.SHA1())  # noqa: S303 (as such programs do)
    signer = _der(
        0x30, _der(0x02, b"\1"), _signed_by(certificate), _der(0x30, _oid(_SHA1), _NULL), _der(0xA0, inside),
        _der(0x30, _oid(_RSA_SHA1), _NULL), _der(0x04, signature),
    )  # fmt: skip
    body = _der(
        0x30, _der(0x02, b"\1"), _der(0x31, _der(0x30, _oid(_SHA1), _NULL)),
        _der(0x30, _oid(_DATA), _der(0xA0, _der(0x04, content)) if shown else b""),
        _der(0xA0, certificate.public_bytes(Encoding.DER)), _der(0x31, signer),
    )  # fmt: skip
    return _der(0x30, _oid(_SIGNED), _der(0xA0, body))


@dataclass
class Simulator:
    """One simulated device.

    Args:
        address: of the server.
        serial: of the device.
        method: of commands: ``PUT``, or ``POST`` as some do.
        command_type: what it says a command's answer is; None: nothing at all.
        in_pieces: whether the encrypted request is written as a string of strings.
        most_commands: after which it gives up on a server that goes on and on.
    """

    address: str
    serial: str
    method: str = "PUT"
    command_type: str | None = None
    in_pieces: bool = False
    most_commands: int = 30
    udid: str = field(default_factory=lambda: os.urandom(20).hex())
    longest_line: int = 0
    carried_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        self._line = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        self._key = rsa.generate_private_key(65537, 2048)

    # -- HTTP ----------------------------------------------------------------------------------------------------

    def _ask(self, method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self.longest_line = max(self.longest_line, len(f"{method} {target} HTTP/1.1"))
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        try:
            self._line.request(method, target, body=body, headers=named)
            answer = self._line.getresponse()
        except ConnectionError:  # the server ended one that was idle for some seconds, as it may
            self._line.close()
            self._line.request(method, target, body=body, headers=named)
            answer = self._line.getresponse()
        found = answer.read()
        return answer.status, answer.headers.get("location") or answer.headers.get("content-type") or "", found

    def _demand(self, kind: str | None, method: str, url: str, body: bytes | None = None, **headers: str) -> bytes:
        status, told, found = self._ask(method, url, body, **headers)
        if status != 200 or (kind is not None and told != kind):
            raise NotAcceptedError(method, urlsplit(url).path, status, told)
        return found

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    # -- enrolment -----------------------------------------------------------------------------------------------

    def enrol(self, code: str) -> None:
        """Fetch the profile with a ticket's code, get a certificate, say who it is and how it is reached."""
        form = urlencode({"code": code}).encode()
        status, place, _ = self._ask(
            "POST", f"{self.address}/apple/invitations", form, Content_Type="application/x-www-form-urlencoded"
        )
        if status != 303:
            raise NotAcceptedError(status)
        profile = plistlib.loads(self._demand("application/x-apple-aspen-config", "GET", f"{self.address}{place}"))
        payloads = {one["PayloadType"]: one for one in profile["PayloadContent"]}
        self._mdm = payloads["com.apple.mdm"]
        if not self._mdm["SignMessage"]:
            raise NotAcceptedError("no way to say who it is")
        self._certificate = self._request(payloads["com.apple.security.scep"]["PayloadContent"])
        self._check_in({"MessageType": "Authenticate", "Topic": self._mdm["Topic"], "SerialNumber": self.serial})
        told = {"Token": os.urandom(32), "PushMagic": os.urandom(8).hex(), "Topic": self._mdm["Topic"]}
        self._check_in({"MessageType": "TokenUpdate", **told})

    def _request(self, told: Mapping[str, Any]) -> x509.Certificate:
        url = told["URL"]
        abilities = self._demand("text/plain", "GET", f"{url}?operation=GetCACaps").decode().split("\n")
        if "POSTPKIOperation" not in abilities:
            raise NotAcceptedError(abilities)
        name = quote(told["Name"])
        ca = x509.load_der_x509_certificate(
            self._demand("application/x-x509-ca-cert", "GET", f"{url}?operation=GetCACert&message={name}")
        )
        own, message = self._message(ca, told["Challenge"])
        query = urlencode({"operation": "PKIOperation", "message": base64.b64encode(message).decode()})
        return self._opened(self._demand("application/x-pki-message", "POST", f"{url}?{query}", message), own)

    def _message(self, ca: x509.Certificate, challenge: str) -> tuple[x509.Certificate, bytes]:
        """Return the certificate it made for itself and the request that is signed with it."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SIMULATOR")])
        now = datetime.now(UTC)
        # As long as such a program's, whose request line was measured to be 6,096 characters.
        filling = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.13"), _der(0x16, b"x" * 1_900))
        own = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
            .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(filling, critical=False).sign(self._key, hashes.SHA256())
        )  # fmt: skip
        extra = b"".join(
            [
                _attribute(f"{_SCEP}07", _der(0x13, hashlib.sha256(self.udid.encode()).hexdigest().encode())),
                _attribute(f"{_SCEP}02", _der(0x13, b"19")),
                _attribute(f"{_SCEP}05", _der(0x04, os.urandom(16))),
            ]
        )
        envelope = self._envelope(self._certification_request(challenge), ca)
        return own, _sign(envelope, self._key, own, extra, shown=True)

    def _certification_request(self, challenge: str) -> bytes:
        usage = _der(0x30, _der(0x30, bytes.fromhex("0603551d0f"), _der(0x04, bytes.fromhex("030205a0"))))
        # The longer one first: DER has them the other way round.
        attributes = _der(0xA0, _attribute(_CHALLENGE, _der(0x0C, challenge.encode())), _attribute(_EXTENSIONS, usage))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.serial)])
        key = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        told = _der(0x30, _der(0x02, b"\0"), subject.public_bytes(), key, attributes)
        signature = self._key.sign(told, PKCS1v15(), hashes.SHA256())
        return _der(0x30, told, _der(0x30, _oid(_RSA_SHA256), _NULL), _der(0x03, b"\0", signature))

    def _envelope(self, content: bytes, ca: x509.Certificate) -> bytes:
        key, vector = os.urandom(8), os.urandom(8)
        padding = 8 - len(content) % 8
        encryptor = Cipher(TripleDES(key * 3), CBC(vector)).encryptor()  # thrice the same key: single DES
        encrypted = encryptor.update(content + bytes([padding]) * padding) + encryptor.finalize()
        public = ca.public_key()
        if not isinstance(public, rsa.RSAPublicKey):
            raise NotAcceptedError("no RSA")
        recipient = _der(
            0x30, _der(0x02, b"\0"), _signed_by(ca), _der(0x30, _oid(_RSA), _NULL),
            _der(0x04, public.encrypt(key, PKCS1v15())),
        )  # fmt: skip
        written = _der(0xA0, _der(0x04, encrypted)) if self.in_pieces else _der(0x80, encrypted)
        what = _der(0x30, _oid(_DATA), _der(0x30, _oid(_DES_CBC), _der(0x04, vector)), written)
        return _der(0x30, _oid(_ENVELOPED), _der(0xA0, _der(0x30, _der(0x02, b"\0"), _der(0x31, recipient), what)))

    def _opened(self, answer: bytes, own: x509.Certificate) -> x509.Certificate:
        signed = cms.ContentInfo.load(answer)["content"]
        attributes = {one["type"].dotted: one["values"][0] for one in signed["signer_infos"][0]["signed_attrs"]}
        status = attributes["2.16.840.1.113733.1.9.3"]
        if status.parsed.native != "0":
            raise NotAcceptedError("status", status.parsed.native)
        inside = cms.ContentInfo.load(signed["encap_content_info"]["content"].native)["content"]
        recipient = inside["recipient_infos"][0].chosen
        if recipient["rid"].chosen["serial_number"].native != own.serial_number:
            raise NotAcceptedError("for somebody else")
        key = self._key.decrypt(recipient["encrypted_key"].native, PKCS1v15())
        info = inside["encrypted_content_info"]
        vector = info["content_encryption_algorithm"]["parameters"].native
        cipher = AES128(key) if len(key) == 16 else TripleDES(key)
        decryptor = Cipher(cipher, CBC(vector)).decryptor()
        clear = decryptor.update(info["encrypted_content"].native) + decryptor.finalize()
        found = cms.ContentInfo.load(clear[: -clear[-1]])["content"]["certificates"][0].chosen.dump()
        certificate = x509.load_der_x509_certificate(found)
        if certificate.public_key() != self._key.public_key():
            raise NotAcceptedError("the first certificate is another's")
        return certificate

    # -- talking -------------------------------------------------------------------------------------------------

    def _tell(self, method: str, url: str, message: Mapping[str, Any], **headers: str) -> bytes:
        body = plistlib.dumps({"UDID": self.udid, **message})
        signature = _sign(body, self._key, self._certificate, b"", shown=False)
        return self._demand(None, method, url, body, Mdm_Signature=base64.b64encode(signature).decode(), **headers)

    def _check_in(self, message: Mapping[str, Any]) -> bytes:
        url = self._mdm.get("CheckInURL") or self._mdm["ServerURL"]
        return self._tell("PUT", url, message, Content_Type=_CHECK_IN)

    def connect(self) -> None:
        """Poll, and answer command after command until there is none."""
        kind = {} if self.command_type is None else {"Content_Type": self.command_type}
        message: dict[str, Any] = {"Status": "Idle"}
        for _each in range(self.most_commands):
            found = self._tell(self.method, self._mdm["ServerURL"], message, **kind)
            if not found:
                return
            told = plistlib.loads(found)
            message = {"CommandUUID": told["CommandUUID"], **self._carry_out(told["Command"])}
        raise NotAcceptedError("the server goes on and on")

    def _carry_out(self, command: Mapping[str, Any]) -> dict[str, Any]:
        kind = command["RequestType"]
        self.carried_out.append(kind)
        if kind == "DeviceInformation":
            return {"Status": "Acknowledged", "QueryResponses": {"OSVersion": "17.6.1", "ProductName": "iPad13,18"}}
        if kind == "InstalledApplicationList":
            return {"Status": "Acknowledged", "InstalledApplicationList": []}
        if kind == "DeclarativeManagement":
            self._declare()
        if kind in {"DeclarativeManagement", "SecurityInfo", "InstallProfile", "RemoveProfile", "DeviceLock"}:
            return {"Status": "Acknowledged"}
        reason = {"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "LocalizedDescription": "unknown command"}
        return {"Status": "Error", "ErrorChain": [reason]}

    def _declare(self) -> None:
        """Fetch every declaration, and say that each is in force."""

        def ask(endpoint: str) -> dict[str, Any]:
            message = {"MessageType": "DeclarativeManagement", "Endpoint": endpoint}
            return dict(json.loads(self._check_in(message)))

        lists = {}
        for kind, ones in ask("declaration-items")["Declarations"].items():
            singular = kind.lower().removesuffix("s")
            for one in ones:
                if ask(f"declaration/{singular}/{one['Identifier']}")["ServerToken"] != one["ServerToken"]:
                    raise NotAcceptedError("another declaration than was announced")
            lists[kind.lower()] = [
                {"identifier": one["Identifier"], "server-token": one["ServerToken"], "active": True, "valid": "valid"}
                for one in ones
            ]
        status = {"StatusItems": {"management": {"declarations": lists}}, "Errors": [], "FullReport": True}
        data = json.dumps(status).encode()
        self._check_in({"MessageType": "DeclarativeManagement", "Endpoint": "status", "Data": data})
