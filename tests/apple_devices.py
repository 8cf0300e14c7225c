"""The maker of iPads, as far as set-up shows it: certificates that iPads are born with, and what they send with them."""

import plistlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests import apple_messages
from tests.apple_messages import IPAD, Identity, Key, Oddness, Shape, ec_key, rsa_key


def certified(key: Key, name: str, by: Identity | None = None, *, is_ca: bool = False, days: int = 3650) -> Identity:
    """Return a certificate issued by another, or by itself; ``days`` below zero: one that has run out."""
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(by.certificate.subject if by is not None else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=4000))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    return Identity(key, builder.sign(by.key if by is not None else key, hashes.SHA256()))


@dataclass
class Maker:
    """A maker: its root, the CA that certifies its tablets and has run out, and one tablet's identity."""

    name: str = "Maker"
    root: Identity = field(init=False)
    issuer: Identity = field(init=False)
    tablet: Identity = field(init=False)

    def __post_init__(self) -> None:
        number = sum(self.name.encode()) % 90 + 10  # keys are made once for each name
        self.root = certified(rsa_key(number), f"{self.name} root", is_ca=True)
        self.issuer = certified(rsa_key(number + 100), f"{self.name} device CA", self.root, is_ca=True, days=-300)
        self.tablet = certified(ec_key(number), f"{self.name} tablet", self.issuer)

    @property
    def pem(self) -> bytes:
        """The root, as this server is told whom to trust."""
        return self.root.certificate.public_bytes(Encoding.PEM)

    def sign(self, content: bytes, shape: Shape = IPAD, signer: Identity | None = None) -> bytes:
        """Return what a tablet sends: signed, its certificates included."""
        by = signer or self.tablet
        odd = Oddness(certificates=[by.der, self.tablet.der, self.issuer.der] if signer else [by.der, self.issuer.der])
        return apple_messages.signed_message(content, by, shape, attached=True, odd=odd)


def machine_info(
    serial: str, *, os_version: str | None = "17.6.1", can_update: bool = True, language: str = "nb"
) -> bytes:
    """Return what an iPad says of itself; before iPadOS 17 it says less."""
    told = {
        "UDID": "00008103-0000000000000001",
        "SERIAL": serial,
        "PRODUCT": "iPad13,18",
        "VERSION": "21G101",
        "LANGUAGE": language,
    }
    newer = {} if os_version is None else {"OS_VERSION": os_version, "MDM_CAN_REQUEST_SOFTWARE_UPDATE": can_update}
    return plistlib.dumps({**told, **newer})
