"""Who signed an Android package: which certificate, not whether the signature is right.

The tablet itself verifies the signature as it installs, and lets an update in only if the same key signed it. What is
read here tells beforehand which key that is. Of several ways to sign, the oldest counts that newer systems look at, as
a key that was changed later stands only in the newer ones. Those systems verify the newest way alone, whatever the
others say: a newer one with another key must tell that it came after the oldest's, which a tablet verifies then.

Source: https://source.android.com/docs/security/features/apksigning/v2 and /v3 (the block before the zip's list of
members, its pairs and the signers in it); JAR File Specification, "Signature Validation", for files in META-INF.
"""

import hashlib
import re
import struct
from collections.abc import Iterator

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from fleet.apps.archives import Archive
from fleet.apps.facts import PackageError

_MAX_BLOCK_BYTES = 16 * 2**20
_MAX_PAIRS = 1_000
_MAX_PARTS = 10  # signers of a package, attributes of a signer: one or two of each
_MAX_FILE_BYTES = 256 * 1024
_MAX_CERTIFICATE_BYTES = 64 * 1024
_MAGIC = b"APK Sig Block 42"
_FOOT = struct.Struct("<Q16s")
_V2, _V3, _V31 = _SCHEMES = (0x7109871A, 0xF05368C0, 0x1B93AD61)  # the oldest first
_ROTATION = 0x3BA06F8C
_SIGNATURE_FILE = re.compile(r"META-INF/[^/]+\.(RSA|DSA|EC)", re.IGNORECASE)
_SEQUENCE = 0x30  # what each certificate begins with, DER
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


def certificate(archive: Archive) -> str:
    """Return the SHA-256 of the signer's certificate (DER), lower-case hex.

    Raises:
        PackageError: nobody signed it, or who did cannot be read.
    """
    blocks = [(number, content) for number, content in _pairs(_block(archive)) if number in _SCHEMES]
    if blocks:
        by_scheme = dict(blocks)
        told = [one for scheme in _SCHEMES if scheme in by_scheme for one in _signers(by_scheme[scheme], scheme)]
        own = _own(told[0])
        if len(by_scheme) < len(blocks) or any(own != _own(one) and own != _oldest(one) for one in told):
            raise PackageError(reason="signature")
        return hashlib.sha256(own).hexdigest()
    files = sorted(archive.matching(_SIGNATURE_FILE), key=lambda one: one.filename)
    if not files:
        raise PackageError(reason="signature")
    return hashlib.sha256(_of_file(archive.read(files[0], _MAX_FILE_BYTES, "signature"))).hexdigest()


def _block(archive: Archive) -> bytes:
    """Return the pairs in the signing block; empty where there is none."""
    foot = archive.before_directory(_FOOT.size)
    if len(foot) < _FOOT.size:
        return b""
    size, magic = _FOOT.unpack(foot)
    if magic != _MAGIC:
        return b""
    if not _FOOT.size <= size <= _MAX_BLOCK_BYTES:
        raise PackageError(reason="signature")
    block = archive.before_directory(size + _U64.size)  # its size stands at its beginning too
    if len(block) < size + _U64.size or _U64.unpack_from(block)[0] != size:
        raise PackageError(reason="signature")
    return block[_U64.size : -_FOOT.size]


def _pairs(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what the block has: a number that says what it is, and the rest."""
    place = 0
    for _count in range(_MAX_PAIRS):
        if place + _U64.size > len(block):
            return
        (size,) = _U64.unpack_from(block, place)
        place += _U64.size
        if not _U32.size <= size <= len(block) - place:
            raise PackageError(reason="signature")
        yield _U32.unpack_from(block, place)[0], block[place + _U32.size : place + size]
        place += size
    raise PackageError(reason="signature")


def _signers(block: bytes, scheme: int) -> list[bytes]:
    """Return what signers signed: of the oldest way the first one's, as a tablet verifies all of them.

    Of the newer ways all signers', as a tablet verifies the one alone that is for its system.
    """
    found: list[bytes] = []
    rest = _prefixed(block)[0]
    while not found or (rest and scheme != _V2):
        signer, rest = _prefixed(rest)
        found.append(_prefixed(signer)[0])
        if len(found) > _MAX_PARTS:
            raise PackageError(reason="signature")
    return found


def _own(signed: bytes) -> bytes:
    """Return the first certificate, which is the signer's own, of what a signer signed."""
    _digests, rest = _prefixed(signed)
    found, _rest = _prefixed(_prefixed(rest)[0])
    if not 2 <= len(found) <= _MAX_CERTIFICATE_BYTES or found[0] != _SEQUENCE:
        raise PackageError(reason="signature")
    return found


def _oldest(signed: bytes) -> bytes | None:
    """Return the certificate that a signer's changes of key begin with; None where it tells of none.

    Source: -/v3 there, "Proof-of-rotation": an attribute behind two numbers, which has a number and then one part for
    each key, the oldest first.
    """
    _certificates, rest = _prefixed(_prefixed(signed)[1])
    try:
        told, _rest = _prefixed(rest[2 * _U32.size :])
        for _count in range(_MAX_PARTS):
            attribute, told = _prefixed(told)
            if attribute.startswith(_U32.pack(_ROTATION)):
                return _prefixed(_prefixed(_prefixed(attribute[2 * _U32.size :])[0])[0])[0]
    except PackageError:
        pass
    return None


def _prefixed(data: bytes) -> tuple[bytes, bytes]:
    """Return what stands behind a length of four bytes, and what follows it."""
    if len(data) < _U32.size:
        raise PackageError(reason="signature")
    end = _U32.size + _U32.unpack_from(data)[0]
    if end > len(data):
        raise PackageError(reason="signature")
    return data[_U32.size : end], data[end:]


def _of_file(message: bytes) -> bytes:
    """Return the signer's certificate in a PKCS #7 message: the one that issued none of the others."""
    try:
        found = load_der_pkcs7_certificates(message)
        issuers = {one.issuer for one in found if one.issuer != one.subject}
        own = [one for one in found if one.subject not in issuers] or found
        return own[0].public_bytes(Encoding.DER)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm) as error:
        raise PackageError(reason="signature") from error
