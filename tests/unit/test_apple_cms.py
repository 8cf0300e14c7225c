"""Signed messages: every shape tablets send is read, everything else is refused with its reason and nothing worse."""

import base64
import contextlib
import hashlib
import itertools
from collections.abc import Iterator

import pytest
from asn1crypto import cms as asn1_cms
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.channels.apple.cms import MAX_MESSAGE_BYTES, CmsError, Signer, read_signed, sign_profile, verify_detached
from fleet.mdm import ber
from fleet.mdm.ber import BerError
from fleet.mdm.certificates import MAX_CERTIFICATE_BYTES, load_key, read_certificate
from tests import apple_messages as made
from tests.apple_messages import IPAD, SIMULATOR, Identity, Oddness, Shape, attribute, signed_message, tlv

BODY = b"<?xml version='1.0'?><plist><dict><key>Status</key><string>Idle</string></dict></plist>"
TABLET = made.self_signed(made.rsa_key(0), common_name="tablet")
CURVED = made.self_signed(made.ec_key(0), common_name="curved", serial=2)
OTHER = made.self_signed(made.rsa_key(1), common_name="other", serial=3)


def detached(shape: Shape, *, signer: Identity = TABLET, odd: Oddness | None = None) -> bytes:
    return signed_message(BODY, signer, shape, attached=False, odd=odd)


def reason(signature: bytes, body: bytes = BODY) -> str:
    with pytest.raises(CmsError) as refused:
        verify_detached(signature, body)
    return refused.value.reason


SHAPES = [
    Shape(digest, has_attributes, names_digest, open_ended, by_key_id=by_key_id)
    for digest in made.HASHES
    for has_attributes, names_digest, open_ended, by_key_id in itertools.product((False, True), repeat=4)
]


@pytest.mark.parametrize("signer", [TABLET, CURVED], ids=["rsa", "ecdsa"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_names_its_signer(shape: Shape, signer: Identity) -> None:
    assert verify_detached(detached(shape, signer=signer), BODY) == Signer(signer.der, signer.name)


def test_an_ipads_own_shape_begins_as_it_was_seen_on_the_wire() -> None:
    assert base64.b64encode(detached(IPAD)).startswith(b"MIAGCSqGSIb3DQEHAqCAMIAC")
    assert asn1_cms.ContentInfo.load(detached(IPAD), strict=True)["content"]["digest_algorithms"].native


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR], ids=["ipad", "simulator"])
@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b"\n", BODY.replace(b"Idle", b"idle")])
def test_another_body_is_not_what_was_signed(shape: Shape, body: bytes) -> None:
    assert reason(detached(shape), body) == ("digest" if shape.has_attributes else "signature")


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR], ids=["ipad", "simulator"])
@pytest.mark.parametrize(
    "key", [made.rsa_key(1), made.ec_key(0), made.rsa_key(0, 3072)], ids=["same kind", "other kind", "other size"]
)
def test_a_key_that_is_not_the_certificates_signs_nothing(shape: Shape, key: made.Key) -> None:
    assert reason(detached(shape, signer=Identity(key, TABLET.certificate))) == "signature"


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR], ids=["ipad", "simulator"])
@pytest.mark.parametrize(
    "certificates",
    [[], [OTHER.der], [b""], [TABLET.der[:-1] + b"\0", TABLET.der]],
    ids=["none", "another's", "empty", "two of one name"],
)
def test_the_signer_must_be_there_and_be_one(shape: Shape, certificates: list[bytes]) -> None:
    assert reason(detached(shape, odd=Oddness(certificates=certificates))) == "signers"


@pytest.mark.parametrize("signers", [0, 2])
def test_a_message_of_no_or_several_signers_is_refused(signers: int) -> None:
    assert reason(detached(SIMULATOR, odd=Oddness(signers=signers))) == "signers"


def test_other_certificates_may_lie_beside_the_signers() -> None:
    strange = tlv(0x30, tlv(0x30, b"\x02\x01\x01"))
    old_kind = tlv(0xA1, b"\x02\x01\x01")
    beside = [strange, old_kind, OTHER.der, CURVED.der, TABLET.der, TABLET.der]
    assert verify_detached(detached(IPAD, odd=Oddness(certificates=beside)), BODY).name == TABLET.name


def test_issuer_and_serial_number_must_both_be_the_signers() -> None:
    same_serial = made.self_signed(made.rsa_key(0), common_name="another", serial=1)
    same_issuer = made.self_signed(made.rsa_key(0), common_name="tablet", serial=2)
    for signer in (TABLET, same_serial, same_issuer):
        every = Oddness(certificates=[TABLET.der, same_serial.der, same_issuer.der])
        assert verify_detached(detached(IPAD, signer=signer, odd=every), BODY).name == signer.name
    for missing in (same_serial, same_issuer):
        assert reason(detached(IPAD, odd=Oddness(certificates=[missing.der]))) == "signers"


def test_a_heap_of_certificates_is_not_searched() -> None:
    small = [tlv(0x30, bytes((2, 1, number))) for number in range(8)]
    assert reason(detached(IPAD, odd=Oddness(certificates=[*small, TABLET.der]))) == "size"


def test_a_certificate_without_a_key_identifier_is_found_by_its_issuer_only() -> None:
    plain = made.self_signed(made.rsa_key(0), common_name="plain", key_id=False)
    assert verify_detached(detached(IPAD, signer=plain), BODY).name == plain.name
    named = detached(Shape(by_key_id=True), odd=Oddness(certificates=[plain.der]))
    assert reason(named) == "signers"


TYPE, DIGEST = made.CONTENT_TYPE_OID, made.DIGEST_OID
RIGHT_TYPE = attribute(TYPE, made.oid(made.DATA_OID))


def right_digest() -> bytes:
    return tlv(0x04, hashlib.sha256(BODY).digest())


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([], "malformed"),
        ([RIGHT_TYPE], "malformed"),
        ([attribute(DIGEST, right_digest())], "malformed"),
        ([RIGHT_TYPE, attribute(DIGEST)], "malformed"),
        ([RIGHT_TYPE, attribute(DIGEST, right_digest(), right_digest())], "malformed"),
        ([RIGHT_TYPE, attribute(DIGEST, right_digest()), attribute(DIGEST, right_digest())], "malformed"),
        ([RIGHT_TYPE, RIGHT_TYPE, attribute(DIGEST, right_digest())], "malformed"),
        ([RIGHT_TYPE, attribute(DIGEST, tlv(0x04, bytes(32)))], "digest"),
        ([RIGHT_TYPE, attribute(DIGEST, tlv(0x04))], "digest"),
        ([attribute(TYPE, made.oid(made.SIGNED_OID)), attribute(DIGEST, right_digest())], "content"),
        ([RIGHT_TYPE, attribute(DIGEST, right_digest()), tlv(0x04, b"x")], "malformed"),
    ],
)
def test_signed_attributes_must_tell_type_and_digest_once(attributes: list[bytes], expected: str) -> None:
    shape = Shape("sha256", has_attributes=True)
    assert reason(detached(shape, odd=Oddness(attributes=attributes))) == expected


def test_attributes_may_stand_in_any_order_with_others_of_several_values() -> None:
    several = attribute("1.2.840.113635.100.9.2", tlv(0x30, b"\x05\x00"), tlv(0x30, b"\x05\x00"))
    for order in itertools.permutations([RIGHT_TYPE, attribute(DIGEST, right_digest()), several]):
        shape = Shape("sha256", has_attributes=True)
        assert verify_detached(detached(shape, odd=Oddness(attributes=order)), BODY).name == TABLET.name


def test_a_message_of_very_many_attributes_is_refused() -> None:
    many = [attribute(f"1.2.3.{number}", b"\x05\x00") for number in range(40)]
    assert reason(detached(SIMULATOR, odd=Oddness(extra=many))) == "malformed"


def test_what_is_attached_is_not_detached_and_the_other_way_round() -> None:
    assert reason(signed_message(BODY, TABLET, IPAD, attached=True)) == "content"
    with pytest.raises(CmsError, match="content"):
        read_signed(detached(IPAD))


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR], ids=["ipad", "simulator"])
def test_a_signature_over_something_else_than_data_is_refused(shape: Shape) -> None:
    assert reason(detached(shape, odd=Oddness(content_type="1.2.840.113549.1.9.16.1.4"))) == "content"


@pytest.mark.parametrize(
    ("sought", "put", "expected"),
    [
        ("1.3.14.3.2.26", "1.3.14.3.2.18", "algorithm"),
        (made.RSA_OID, "1.2.840.113549.1.1.4", "signature"),  # MD5
        (made.RSA_OID, "1.2.840.113549.1.1.7", "signature"),
    ],
)
def test_an_algorithm_of_another_kind_is_refused(sought: str, put: str, expected: str) -> None:
    head, sign, tail = detached(IPAD).rpartition(made.oid(sought))
    assert reason(head + made.oid(put) + tail) == expected
    assert sign


def test_a_signature_whose_digest_is_not_the_one_told_is_refused() -> None:
    told = made.oid("1.2.840.113549.1.1.11")
    head, _, tail = detached(Shape("sha256", has_attributes=True, names_digest=True)).rpartition(told)
    assert reason(head + made.oid("1.2.840.113549.1.1.12") + tail) == "signature"


def test_a_right_signature_by_another_digest_than_the_contents_is_refused() -> None:
    shape = Shape("sha512", has_attributes=True, names_digest=True)
    message = detached(shape, odd=Oddness(digest=hashlib.sha256(BODY).digest()))
    head, _, tail = message.rpartition(made.oid("2.16.840.1.101.3.4.2.3"))
    assert reason(head + made.oid("2.16.840.1.101.3.4.2.1") + tail) == "signature"


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR, Shape("sha256", open_ended=True, piece_bytes=40)], ids=str)
def test_an_attached_message_gives_content_and_signer(shape: Shape) -> None:
    message = signed_message(BODY, TABLET, shape, attached=True)
    assert read_signed(message) == (BODY, Signer(TABLET.der, TABLET.name))


def test_another_librarys_messages_are_read() -> None:
    builder = (
        pkcs7.PKCS7SignatureBuilder().set_data(BODY).add_signer(CURVED.certificate, made.ec_key(0), hashes.SHA384())
    )
    options = [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.DetachedSignature]
    assert verify_detached(builder.sign(Encoding.DER, options), BODY).name == CURVED.name
    assert read_signed(builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])) == (
        BODY,
        Signer(CURVED.der, CURVED.name),
    )


@pytest.mark.parametrize("signer", [TABLET, CURVED], ids=["rsa", "ecdsa"])
def test_a_profile_is_signed_with_its_content_in_it(signer: Identity) -> None:
    message = sign_profile(BODY, signer.key, signer.certificate, [OTHER.certificate])
    assert read_signed(message) == (BODY, Signer(signer.der, signer.name))
    data = asn1_cms.ContentInfo.load(message, strict=True)["content"]
    assert data["signer_infos"][0]["digest_algorithm"]["algorithm"].native == "sha256"
    assert {one.chosen.dump() for one in data["certificates"]} == {signer.der, OTHER.der}


def keys_nobody_has() -> Iterator[bytes]:
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*spki)
    yield ec.generate_private_key(ec.SECP256K1()).public_key().public_bytes(*spki)
    for modulus, exponent in ((2**4096 + 1, 65537), (2**1022 + 1, 65537), (2**2047 + 1, 2**64 + 1)):
        yield rsa.RSAPublicNumbers(exponent, modulus).public_key().public_bytes(*spki)
    yield b""
    yield tlv(0x30)


@pytest.mark.parametrize("spki", [pytest.param(one, id=f"key-{n}") for n, one in enumerate(keys_nobody_has())])
def test_keys_that_would_cost_much_or_are_of_another_kind_are_not_taken(spki: bytes) -> None:
    with pytest.raises(BerError):
        load_key(spki)


def test_a_giant_certificate_is_not_read() -> None:
    small, large = (made.self_signed(made.rsa_key(0), filling_bytes=size) for size in (1000, MAX_CERTIFICATE_BYTES))
    assert read_certificate(small.der).name == small.name
    with pytest.raises(BerError):
        read_certificate(large.der)


@pytest.mark.parametrize("length", [8 * 1024 + 1, 100_000])
def test_a_giant_signature_is_not_read(length: int) -> None:
    assert reason(bytes(length)) == "size"


def test_a_giant_message_is_not_read() -> None:
    with pytest.raises(CmsError, match="size"):
        read_signed(bytes(MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize(
    "element",
    [
        b"\x04\x80x\0\0",  # the end of a string that is not in pieces cannot be found
        b"\x04\x80\0\0",  # only what is in pieces may have an end instead of a length
        b"\x04\x80\x05\0\0\0",
        b"\x24\x80",
        b"\x24\x80\0",
        b"\x24\x80\0\x01",
        b"\x04\x85\0\0\0\0\0",  # a length of five bytes
        b"\x04\x84\xff\xff\xff\xff",
        b"\x1f\x81\x01\0",  # a tag number of more than one byte
        b"\0\0",
        b"\x04",
        b"",
    ],
)
def test_lengths_that_lead_nowhere_are_refused(element: bytes) -> None:
    with pytest.raises(BerError):
        ber.Reader(element).any()


def test_the_end_of_a_value_lies_within_what_it_is_in() -> None:
    around = ber.Reader(b"\x30\x03\x24\x80\0" + b"\0\x02\x01\x01").take(0x30)
    with pytest.raises(BerError):
        around.inside().any()


@pytest.mark.parametrize("levels", [30, 1000])
def test_nesting_without_end_is_refused(levels: int) -> None:
    assert reason(b"\x30\x80" * levels) == "malformed"
    nested = b""
    for _ in range(levels):
        nested = tlv(0x24, nested)
    with pytest.raises(BerError):
        ber.Reader(nested).any().octets()


@pytest.mark.parametrize("shape", [IPAD, SIMULATOR], ids=["ipad", "simulator"])
def test_a_message_cut_short_anywhere_is_refused(shape: Shape) -> None:
    message = detached(shape)
    assert {reason(message[:length]) for length in range(len(message))} == {"malformed"}
    assert reason(message + b"\0") == "malformed"


REASONS = {"size", "malformed", "content", "signers", "algorithm", "digest", "signature"}
MESSAGES = [
    *(detached(shape, signer=signer) for shape in (IPAD, SIMULATOR) for signer in (TABLET, CURVED)),
    detached(Shape("sha512", by_key_id=True)),
]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_changed_message_is_refused_or_names_the_same_signer(data: st.DataObject) -> None:
    """What is not signed may change (lengths, other certificates); the body's signer may not."""
    message = bytearray(data.draw(st.sampled_from(MESSAGES)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        match data.draw(st.sampled_from(["set", "cut", "add"])):
            case "set":
                message[at] = data.draw(st.integers(0, 255))
            case "cut":
                del message[at : at + data.draw(st.integers(1, 40))]
            case _:
                message[at:at] = data.draw(st.binary(min_size=1, max_size=40))
        if not message:
            break
    signer = None
    with contextlib.suppress(CmsError):
        signer = verify_detached(bytes(message), BODY)
    if signer:
        assert load_key_of(signer.certificate) in {load_key_of(TABLET.der), load_key_of(CURVED.der)}


def load_key_of(certificate: bytes) -> bytes:
    return read_certificate(certificate).key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=20))
def test_any_bytes_are_refused_with_a_reason(message: bytes, body: bytes) -> None:
    for read in (lambda: verify_detached(message, body), lambda: read_signed(message)):
        with pytest.raises(CmsError) as refused:
            read()
        assert refused.value.reason in REASONS


@given(st.integers(0, 2**70))
def test_numbers_are_written_as_another_library_reads_them(number: int) -> None:
    assert asn1_cms.Integer.load(ber.integer(number), strict=True).native == number


@given(st.tuples(st.integers(0, 2), st.integers(0, 39)), st.lists(st.integers(0, 2**40), max_size=8))
def test_identifiers_are_written_as_another_library_writes_them(first: tuple[int, int], rest: list[int]) -> None:
    dotted = ".".join(str(part) for part in (*first, *rest))
    assert ber.der(ber.OID, ber.oid(dotted)) == made.oid(dotted)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_a_string_in_pieces_is_put_together(content: bytes, piece_bytes: int) -> None:
    for loose in (False, True):
        pieces = [tlv(0x04, content[at : at + piece_bytes]) for at in range(0, len(content), piece_bytes)]
        assert ber.Reader(tlv(0x24, tlv(0x24, *pieces), open_ended=loose)).any().octets() == content
