"""Android packages, made for tests byte by byte: sound ones, and what is needed to make others that mean harm.

Written as ``ResourceTypes.h`` of Android and the pages about its signatures have it, apart from the code that reads it.
"""

import functools
import hashlib
import io
import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options, PKCS7SignatureBuilder
from cryptography.x509.oid import NameOID

from tests.pictures import png

BOARD = "no.example.tavle"
V2, V3 = 0x7109871A, 0xF05368C0
LABEL, ICON, CODE, VERSION, MINIMUM, CODE_MAJOR, TEST_ONLY = (
    0x01010001, 0x01010002, 0x0101021B, 0x0101021C, 0x0101020C, 0x01010576, 0x01010272,
)  # fmt: skip
NAMES = {
    LABEL: "label", ICON: "icon", CODE: "versionCode", VERSION: "versionName", MINIMUM: "minSdkVersion",
    CODE_MAJOR: "versionCodeMajor", TEST_ONLY: "testOnly",
}  # fmt: skip
LABEL_REFERENCE, ICON_REFERENCE, VERSION_REFERENCE = 0x7F010000, 0x7F020000, 0x7F010001
NOTHING = 0xFFFFFFFF


@dataclass(frozen=True)
class Ref:
    """A reference to a resource."""

    number: int


Told = str | int | bool | Ref


@dataclass(frozen=True)
class Signer:
    """Who signs packages."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def name(self) -> str:
        """SHA-256 of the certificate."""
        return hashlib.sha256(self.der).hexdigest()


@functools.cache
def signer(name: str = "maker") -> Signer:
    """Make a signer, once for each name."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(called).issuer_name(called).public_key(key.public_key())
        .serial_number(7).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2060, 1, 1, tzinfo=UTC)).sign(key, SHA256())
    )  # fmt: skip
    return Signer(key, made)


def chunk(kind: int, head: bytes, body: bytes = b"") -> bytes:
    """Return a chunk: ``head`` is its header behind the first eight bytes."""
    return struct.pack("<HHI", kind, 8 + len(head), 8 + len(head) + len(body)) + head + body


def _short(length: int) -> bytes:
    return bytes([length]) if length < 0x80 else bytes([length >> 8 | 0x80, length & 0xFF])


def pool(strings: Sequence[str], *, is_utf8: bool = True) -> bytes:
    """Return a pool of strings."""
    offsets, data = [], b""
    for one in strings:
        offsets.append(len(data))
        if is_utf8:
            content = one.encode()
            data += _short(len(one)) + _short(len(content)) + content + b"\0"
        else:
            content = one.encode("utf-16-le")
            units = len(content) // 2
            is_short = units < 0x8000
            data += struct.pack("<H", units) if is_short else struct.pack("<HH", units >> 16 | 0x8000, units & 0xFFFF)
            data += content + b"\0\0"
    data += b"\0" * (-len(data) % 4)
    head = struct.pack("<5I", len(strings), 0, 0x100 if is_utf8 else 0, 28 + 4 * len(strings), 0)
    return chunk(0x0001, head, struct.pack(f"<{len(offsets)}I", *offsets) + data)


class Xml:
    """XML in binary form."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.strings: list[str] = []
        self.nodes: list[bytes] = []

    def string(self, told: str) -> int:
        """Return the number of a string, behind those of Android's own attributes."""
        if told not in self.strings:
            self.strings.append(told)
        return self.strings.index(told)

    def start(self, name: str, attributes: Iterable[tuple[int | str, Told]]) -> None:
        """Begin an element."""
        told = b""
        count = 0
        for key, value in attributes:
            count += 1
            named = self._number(key) if isinstance(key, int) else 1_000 + self.string(key)
            if isinstance(value, str):
                text = 1_000 + self.string(value)
                told += struct.pack("<IIIHBBI", NOTHING, named, text, 8, 0, 0x03, text)
            elif isinstance(value, bool):
                told += struct.pack("<IIIHBBI", NOTHING, named, NOTHING, 8, 0, 0x12, 0xFFFFFFFF if value else 0)
            elif isinstance(value, Ref):
                told += struct.pack("<IIIHBBI", NOTHING, named, NOTHING, 8, 0, 0x01, value.number)
            else:
                told += struct.pack("<IIIHBBI", NOTHING, named, NOTHING, 8, 0, 0x10, value)
        element = struct.pack("<IIHHHHHH", NOTHING, 1_000 + self.string(name), 20, 20, count, 0, 0, 0)
        self.nodes.append(chunk(0x0102, struct.pack("<II", 1, NOTHING), element + told))

    def end(self, name: str) -> None:
        """End an element."""
        ended = struct.pack("<II", NOTHING, 1_000 + self.string(name))
        self.nodes.append(chunk(0x0103, struct.pack("<II", 1, NOTHING), ended))

    def _number(self, key: int) -> int:
        if key not in self.numbers:
            self.numbers.append(key)
        return self.numbers.index(key)

    def bytes_(self, *, is_utf8: bool) -> bytes:
        """Return it whole: names of Android's own come first, the others after a thousand."""
        names = [NAMES[one] for one in self.numbers]
        strings = names + [""] * (1_000 - len(names)) + self.strings
        body = pool(strings, is_utf8=is_utf8)
        body += chunk(0x0180, b"", struct.pack(f"<{len(self.numbers)}I", *self.numbers))
        return chunk(0x0003, b"", body + b"".join(self.nodes))


def manifest(
    *,
    is_utf8: bool = True,
    outer: Mapping[int | str, Told | None] | None = None,
    inner: Mapping[int | str, Told | None] | None = None,
    minimum: Told | None = 26,
) -> bytes:
    """Return a manifest; what is told replaces, None leaves out."""
    told = {"package": BOARD, CODE: 7, VERSION: "1.2", **(outer or {})}
    app = {LABEL: Ref(LABEL_REFERENCE), ICON: Ref(ICON_REFERENCE), **(inner or {})}
    made = Xml()
    made.start("manifest", [(key, value) for key, value in told.items() if value is not None])
    if minimum is not None:
        made.start("uses-sdk", [(MINIMUM, minimum)])
        made.end("uses-sdk")
    made.start("application", [(key, value) for key, value in app.items() if value is not None])
    made.start("activity", [(LABEL, "Not this one")])
    made.end("activity")
    made.end("application")
    made.end("manifest")
    return made.bytes_(is_utf8=is_utf8)


def entries(kind: int, values: Sequence[bytes | None], *, language: str = "", form: str = "") -> bytes:
    """Return the entries of one type for one configuration.

    Args:
        kind: the type's number.
        values: an entry each; None: it has none here.
        language: two letters.
        form: how their places are told: ``sparse``, ``short``, or in the usual way.
    """
    body, places = b"", []
    for one in values:
        places.append(None if one is None else len(body))
        body += one or b""
    if form == "sparse":
        there = [(number, place // 4) for number, place in enumerate(places) if place is not None]
        count, flags, offsets = len(there), 1, b"".join(struct.pack("<HH", *one) for one in there)
    elif form == "short":
        told = [0xFFFF if place is None else place // 4 for place in places]
        count, flags, offsets = len(told), 2, struct.pack(f"<{len(told)}H", *told)
        offsets += b"\0" * (-len(offsets) % 4)
    else:
        told = [NOTHING if place is None else place for place in places]
        count, flags, offsets = len(told), 0, struct.pack(f"<{len(told)}I", *told)
    config = struct.pack("<IHH2s2s", 48, 0, 0, language.encode() or b"\0\0", b"\0\0") + b"\0" * 36
    head = struct.pack("<BBHII", kind, flags, 0, count, 20 + len(config) + len(offsets)) + config
    return chunk(0x0201, head, offsets + body)


def entry(value: int | Ref, *, is_compact: bool = False) -> bytes:
    """Return an entry: a string by its number in the pool, or a reference."""
    kind, data = (0x01, value.number) if isinstance(value, Ref) else (0x03, value)
    if is_compact:
        return struct.pack("<HHI", 0, kind << 8 | 0x8, data)
    return struct.pack("<HHIHBBI", 8, 0, 0, 8, 0, kind, data)


def table(strings: Sequence[str], types: Sequence[bytes], *, is_utf8: bool = True) -> bytes:
    """Return a table of resources."""
    head = struct.pack("<I256s5I", 0x7F, b"", 0, 0, 0, 0, 0)
    package = chunk(0x0200, head, pool(["string", "mipmap"]) + pool(["name"]) + b"".join(types))
    return chunk(0x0002, struct.pack("<I", 1), pool(strings, is_utf8=is_utf8) + package)


SMALL, LARGE, DRAWN = "res/mipmap-mdpi-v4/i.png", "res/mipmap-xxhdpi-v4/i.png", "res/mipmap-anydpi-v26/i.xml"


def usual_table(*, is_utf8: bool = True, form: str = "", is_compact: bool = False) -> bytes:
    """Return a table with a name in three languages, a version, and an icon for two screens and drawn."""
    strings = ["Board", "Tavla", "Tafel", "3.1", SMALL, LARGE, DRAWN]
    one = functools.partial(entry, is_compact=is_compact)
    types = [
        entries(1, [one(2), None], language="de", form=form), entries(1, [one(0), one(3)], form=form),
        entries(1, [one(1), None], language="nb", form=form),
        *(entries(2, [one(number)], form=form) for number in (4, 5, 6)),
    ]  # fmt: skip
    return table(strings, types, is_utf8=is_utf8)


def _prefixed(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content


def signing_block(der: bytes, scheme: int = V2, *, after: bytes | None = None) -> bytes:
    """Return the block that stands before a zip's list, of one signer; the signature itself is nobody's to read here.

    Args:
        der: the signer's certificate.
        scheme: which way to sign.
        after: the certificate of the key that this one came after.
    """
    level = [_prefixed(_prefixed(_prefixed(one) + bytes(4)) + bytes(8) + _prefixed(b"")) for one in (after or b"", der)]
    told = _prefixed(struct.pack("<II", 0x3BA06F8C, 1) + b"".join(level)) if after else b""
    systems = b"" if scheme == V2 else struct.pack("<II", 24, 2**31 - 1)
    signed = _prefixed(b"") + _prefixed(_prefixed(der)) + systems + _prefixed(told)
    signers = _prefixed(_prefixed(_prefixed(signed) + _prefixed(b"") + _prefixed(b"")))
    pairs = b"".join(
        struct.pack("<QI", 4 + len(content), number) + content
        for number, content in ((0x504B4453, b"\0" * 40), (scheme, signers), (0x42726577, b"\0" * 64))
    )
    size = len(pairs) + 24
    return struct.pack("<Q", size) + pairs + struct.pack("<Q16s", size, b"APK Sig Block 42")


def with_block(content: bytes, block: bytes) -> bytes:
    """Put a block before a zip's list of members."""
    end = content.rindex(b"PK\x05\x06")
    (place,) = struct.unpack_from("<I", content, end + 16)
    moved = content[:place] + block + content[place:]
    end += len(block)
    return moved[: end + 16] + struct.pack("<I", place + len(block)) + moved[end + 20 :]


def packed(members: Mapping[str, bytes]) -> bytes:
    """Return a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return made.getvalue()


def apk_bytes(
    *,
    manifest_: bytes | None = None,
    table_: bytes | None = None,
    abis: Sequence[str] = (),
    by: Signer | None = None,
    scheme: str = "v2",
    more: Mapping[str, bytes] | None = None,
    **told: Any,
) -> bytes:
    """Return a package; ``told`` goes to :func:`manifest`."""
    by = by or signer()
    members = {
        "AndroidManifest.xml": manifest(**told) if manifest_ is None else manifest_,
        "resources.arsc": usual_table() if table_ is None else table_,
        "classes.dex": b"dex\n035\0" * 20,
        SMALL: png(48, 48), LARGE: png(144, 144) + b"\0" * 200, DRAWN: b"\x03\0\x08\0",
        **{f"lib/{one}/libx.so": b"\x7fELF" for one in abis},
        **(more or {}),
    }  # fmt: skip
    if scheme == "v1":
        builder = PKCS7SignatureBuilder().set_data(b"Signature-Version: 1.0\r\n\r\n")
        made = builder.add_signer(by.certificate, by.key, SHA256()).sign(Encoding.DER, [PKCS7Options.DetachedSignature])
        members["META-INF/CERT.EC"] = made
    content = packed(members)
    if scheme in {"v2", "v3"}:
        return with_block(content, signing_block(by.der, V2 if scheme == "v2" else V3))
    return content


def apk(path: Path, *, code: int = 7, version: str = "1.2", package: str = BOARD, **told: Any) -> Path:
    """Make a package; the rest as :func:`apk_bytes` has it."""
    outer = {"package": package, CODE: code, VERSION: version, **told.pop("outer", {})}
    path.write_bytes(apk_bytes(outer=outer, **told))
    return path


def xapk(path: Path, *, inner: bytes | None = None, more: Mapping[str, bytes] | None = None, **told: Any) -> Path:
    """Make a bundle; ``told`` replaces what its list says, None leaves a key out."""
    listed = {
        "xapk_version": 2, "package_name": BOARD, "name": "Tavla", "version_code": "7", "version_name": "1.2",
        "icon": "icon.png", "split_apks": [{"file": f"{BOARD}.apk", "id": "base"}],
    } | told  # fmt: skip
    members = {
        "manifest.json": json.dumps({key: value for key, value in listed.items() if value is not None}).encode(),
        "icon.png": png(64, 64),
        f"{BOARD}.apk": apk_bytes() if inner is None else inner,
        **(more or {}),
    }
    path.write_bytes(packed(members))
    return path
