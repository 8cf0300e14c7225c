"""SCEP: what clients of every kind send is read, what they get they can read, and nonsense costs a reason only."""

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.channels.apple import envelopes, scep
from fleet.channels.apple.scep import FailInfo, RequestKind, ScepError, ScepRequest
from fleet.mdm import authority
from fleet.mdm.authority import CERTIFICATE_LIFE, Authority
from fleet.mdm.certificates import PublicKey, read_certificate
from fleet.mdm.enveloped import AES_128
from tests import apple_messages as made
from tests.apple_messages import (
    CIPHERS,
    DEBIAN_SCEP,
    NOW,
    SCEP_OID,
    SIMULATOR_SCEP,
    STRONGSWAN_SCEP,
    Identity,
    ScepClient,
    Shape,
    attribute,
    certification_request,
    enveloped,
    open_scep_content,
    read_scep_answer,
    signed_message,
    tlv,
)

VAULT = bytes(32)
KEY = made.rsa_key(0)
TRANSIENT = made.self_signed(KEY)
CSR = certification_request(KEY)
CLIENT = ScepClient(TRANSIENT)
PLAIN = Shape("sha256", has_attributes=True)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority.load(tmp_path_factory.mktemp("ca"), VAULT, now=NOW)


def read(ca: Authority, message: bytes) -> ScepRequest:
    return scep.read_request(message, ca, now=NOW)


def reason(ca: Authority, message: bytes) -> str:
    with pytest.raises(ScepError) as refused:
        read(ca, message)
    return refused.value.reason


def spki(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_the_capabilities_are_those_that_clients_look_for() -> None:
    words = scep.capabilities().split()
    assert words == ["POSTPKIOperation", "SHA-256", "SHA-1", "AES", "DES3", "SCEPStandard", "Renewal"]


@pytest.mark.parametrize("piece_bytes", [None, 100], ids=["whole", "pieces"])
@pytest.mark.parametrize("open_ended", [False, True], ids=["definite", "indefinite"])
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_request_of_any_shape_is_read(
    ca: Authority, cipher: str, digest: str, open_ended: bool, piece_bytes: int | None
) -> None:
    shape = Shape(digest, has_attributes=True, open_ended=open_ended, piece_bytes=piece_bytes)
    client = ScepClient(TRANSIENT, cipher, shape)
    request = read(ca, client.request(ca.current.certificate, certification_request(KEY, digest=digest)))
    assert request.kind is RequestKind.ENROL
    assert request.transaction_id == client.transaction_id
    assert request.sender_nonce == client.nonce
    assert request.signer.name == TRANSIENT.name
    assert spki(request.public_key) == spki(KEY.public_key())
    assert request.subject == {"O": "School", "CN": "SIM0001"}
    assert request.challenge == "open-sesame"
    assert request.recipient is ca.current


@pytest.mark.parametrize(
    "way", [SIMULATOR_SCEP, DEBIAN_SCEP, STRONGSWAN_SCEP], ids=["simulator", "debian", "strongswan"]
)
def test_the_ways_of_known_clients_are_read(ca: Authority, way: tuple[str, Shape, Shape]) -> None:
    csr = certification_request(KEY, in_order=False, digest="sha1")
    request = read(ca, ScepClient(TRANSIENT, *way).request(ca.current.certificate, csr))
    assert request.challenge == "open-sesame"


def test_attributes_of_a_request_may_stand_in_an_order_that_der_forbids(ca: Authority) -> None:
    orders = {certification_request(KEY, in_order=in_order)[:400] for in_order in (True, False)}
    assert len(orders) == 2
    for in_order in (True, False):
        csr = certification_request(KEY, in_order=in_order)
        assert read(ca, CLIENT.request(ca.current.certificate, csr)).challenge == "open-sesame"


@pytest.mark.parametrize("key", [made.rsa_key(1), made.ec_key(0)], ids=["another rsa key", "ec"])
def test_the_key_to_certify_may_be_another_than_the_signers(ca: Authority, key: made.Key) -> None:
    request = read(ca, CLIENT.request(ca.current.certificate, certification_request(key)))
    assert spki(request.public_key) == spki(key.public_key())


def test_a_request_without_a_challenge_is_read_as_one_without(ca: Authority) -> None:
    assert (
        read(ca, CLIENT.request(ca.current.certificate, certification_request(KEY, challenge=None))).challenge is None
    )


@pytest.mark.parametrize(
    ("cipher", "answered"), [("des", "3des"), ("3des", "3des"), ("aes128", "aes128"), ("aes256", "aes128")]
)
def test_a_certificate_comes_back_as_the_client_can_read_it(ca: Authority, cipher: str, answered: str) -> None:
    client = ScepClient(TRANSIENT, cipher)
    request = read(ca, client.request(ca.current.certificate, CSR))
    certificate = ca.issue(request.public_key, subject_name="tablet-1", now=NOW)
    answer = read_scep_answer(scep.success(request, certificate), ca.current.certificate)
    assert (answer.text(2), answer.text(3), answer.text(7)) == ("3", "0", client.transaction_id)
    assert answer.octets(6) == client.nonce
    assert len(answer.octets(5)) == 16
    assert f"{SCEP_OID}.4" not in answer.attributes
    assert (answer.digest, answer.signature_algorithm) == ("sha256", made.RSA_OID)
    assert answer.certificates == [ca.current.der]
    assert answer.content is not None
    assert open_scep_content(answer.content, TRANSIENT) == (answered, certificate)


@pytest.mark.parametrize("fail_info", FailInfo)
def test_a_refusal_has_no_content_and_says_why(ca: Authority, fail_info: FailInfo) -> None:
    request = read(ca, CLIENT.request(ca.current.certificate, CSR))
    answer = read_scep_answer(scep.failure(request, fail_info), ca.current.certificate)
    assert answer.content is None
    assert (answer.text(2), answer.text(3), answer.text(4)) == ("3", "2", str(int(fail_info)))
    assert (answer.text(7), answer.octets(6)) == (CLIENT.transaction_id, CLIENT.nonce)


def test_no_two_answers_have_the_same_nonce_or_key(ca: Authority) -> None:
    request = read(ca, CLIENT.request(ca.current.certificate, CSR))
    certificate = ca.issue(request.public_key, subject_name="tablet-1", now=NOW)
    answers = [read_scep_answer(scep.success(request, certificate), ca.current.certificate) for _ in range(4)]
    assert len({answer.octets(5) for answer in answers}) == 4
    assert len({answer.content for answer in answers}) == 4


def holder(ca: Authority, key: made.Key = KEY) -> Identity:
    return Identity(key, ca.issue(key.public_key(), subject_name="tablet-1", now=NOW))


def test_a_renewal_is_signed_with_the_certificate_it_renews(ca: Authority) -> None:
    present = holder(ca)
    csr = certification_request(made.rsa_key(1), challenge=None)
    request = read(ca, ScepClient(present).request(ca.current.certificate, csr, kind="17"))
    assert request.kind is RequestKind.RENEW
    assert request.signer.name == present.name
    certificate = ca.issue(request.public_key, subject_name="tablet-1", now=NOW)
    answer = read_scep_answer(scep.success(request, certificate), ca.current.certificate)
    assert answer.content is not None
    assert open_scep_content(answer.content, present) == ("aes128", certificate)


def test_a_renewal_by_a_stranger_is_refused(ca: Authority) -> None:
    assert reason(ca, CLIENT.request(ca.current.certificate, CSR, kind="17")) == "signer"


def test_a_renewal_with_a_certificate_that_has_run_out_is_refused(ca: Authority) -> None:
    message = ScepClient(holder(ca)).request(ca.current.certificate, CSR, kind="17")
    with pytest.raises(ScepError, match="signer"):
        scep.read_request(message, ca, now=NOW + CERTIFICATE_LIFE + timedelta(seconds=1))


def test_after_a_rotation_a_client_of_the_former_ca_is_answered_by_that_one(tmp_path: Path) -> None:
    before = authority.load(tmp_path, VAULT, now=NOW)
    present = holder(before)
    after = authority.rotate(tmp_path, VAULT, now=NOW)
    request = read(after, ScepClient(present).request(before.current.certificate, CSR, kind="17"))
    assert request.recipient.der == before.current.der
    certificate = after.issue(request.public_key, subject_name="tablet-1", now=NOW)
    assert certificate.issuer == after.current.certificate.subject
    answer = read_scep_answer(scep.success(request, certificate), before.current.certificate)
    assert answer.content is not None
    assert open_scep_content(answer.content, present)[1] == certificate


def test_a_request_to_another_ca_is_not_opened(ca: Authority, tmp_path: Path) -> None:
    other = authority.load(tmp_path, VAULT, now=NOW)
    assert reason(ca, CLIENT.request(other.current.certificate, CSR)) == "recipient"


@pytest.mark.parametrize("kind", ["3", "20", "21", "22", "", "190"])
def test_other_kinds_of_messages_are_refused(ca: Authority, kind: str) -> None:
    assert reason(ca, CLIENT.request(ca.current.certificate, CSR, kind=kind)) == "kind"


def test_a_signer_that_nothing_can_be_encrypted_to_is_refused(ca: Authority) -> None:
    curved = ScepClient(made.self_signed(made.ec_key(0)))
    assert reason(ca, curved.request(ca.current.certificate, CSR)) == "algorithm"


def test_a_message_that_its_certificates_key_did_not_sign_is_refused(ca: Authority) -> None:
    mixed = ScepClient(Identity(made.rsa_key(1), TRANSIENT.certificate))
    assert reason(ca, mixed.request(ca.current.certificate, CSR)) == "signature"


def test_a_request_that_its_own_key_did_not_sign_is_refused(ca: Authority) -> None:
    csr = certification_request(KEY, signed_by=made.rsa_key(1))
    assert reason(ca, CLIENT.request(ca.current.certificate, csr)) == "request"


@pytest.mark.parametrize("transaction_id", ["", "x" * 257, "a\nb", "a\x00"])
def test_a_transaction_needs_a_name_that_can_be_repeated(ca: Authority, transaction_id: str) -> None:
    client = ScepClient(TRANSIENT, transaction_id=transaction_id)
    assert reason(ca, client.request(ca.current.certificate, CSR)) == "malformed"


@pytest.mark.parametrize("nonce", [b"", bytes(65)])
def test_a_nonce_must_be_there_and_short(ca: Authority, nonce: bytes) -> None:
    assert reason(ca, ScepClient(TRANSIENT, nonce=nonce).request(ca.current.certificate, CSR)) == "malformed"


def test_a_message_without_scep_attributes_is_refused(ca: Authority) -> None:
    content = enveloped(CSR, ca.current.certificate, "aes128", PLAIN)
    assert reason(ca, signed_message(content, TRANSIENT, PLAIN, attached=True)) == "malformed"
    assert reason(ca, signed_message(content, TRANSIENT, Shape("sha256"), attached=True)) == "malformed"


def test_an_attribute_that_stands_there_twice_is_refused(ca: Authority) -> None:
    twice = attribute(f"{SCEP_OID}.7", tlv(0x13, b"another"))
    assert reason(ca, CLIENT.request(ca.current.certificate, CSR, odd=[twice])) == "malformed"


def test_a_request_with_two_challenges_is_refused(ca: Authority) -> None:
    info = tlv(
        0x30,
        b"\x02\x01\x00",
        tlv(0x30),
        spki(KEY.public_key()),
        tlv(0xA0, attribute(made.CHALLENGE_OID, tlv(0x13, b"one"), tlv(0x13, b"two"))),
    )
    csr = tlv(
        0x30, info, made.algorithm("1.2.840.113549.1.1.11"), tlv(0x03, b"\0", made.sign_with(KEY, info, "sha256"))
    )
    assert reason(ca, CLIENT.request(ca.current.certificate, csr)) == "content"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (tlv(0x0C, "blåbær".encode()), "blåbær"),
        (tlv(0x16, b"plain"), "plain"),
        (tlv(0x14, "blåbær".encode("latin-1")), "blåbær"),
        (tlv(0x1E, "blåbær".encode("utf-16-be")), "blåbær"),
        (tlv(0x0C, b"\xff"), None),
        (tlv(0x13, "å".encode()), None),
        (tlv(0x1E, b"\xd8\x00"), None),
        (tlv(0x04, b"octets"), None),
        (tlv(0x13, b"x" * 257), None),
    ],
)
def test_a_challenge_may_be_any_kind_of_text(ca: Authority, value: bytes, told: str | None) -> None:
    key = spki(KEY.public_key())
    info = tlv(0x30, b"\x02\x01\x00", tlv(0x30), key, tlv(0xA0, attribute(made.CHALLENGE_OID, value)))
    csr = tlv(
        0x30, info, made.algorithm("1.2.840.113549.1.1.11"), tlv(0x03, b"\0", made.sign_with(KEY, info, "sha256"))
    )
    message = CLIENT.request(ca.current.certificate, csr)
    if told is None:
        assert reason(ca, message) == "content"
    else:
        assert read(ca, message).challenge == told


@pytest.mark.parametrize("content_key", [b"", bytes(16), bytes(15), bytes(200)])
def test_a_wrong_key_is_not_told_from_wrong_content(ca: Authority, content_key: bytes) -> None:
    """Who could tell them apart could find out what somebody else sent."""
    wrong = enveloped(CSR, ca.current.certificate, "aes128", PLAIN, content_key=content_key)
    nonsense = enveloped(b"nonsense", ca.current.certificate, "aes128", PLAIN)
    assert reason(ca, CLIENT.wrap(wrong)) == reason(ca, CLIENT.wrap(nonsense)) == "content"


def test_a_wrapped_key_of_another_length_than_the_cas_is_refused_alike(ca: Authority) -> None:
    loose = Shape(open_ended=True)
    content = enveloped(CSR, ca.current.certificate, "aes128", loose)
    at = content.index(b"\x04\x82\x01\x80")  # 384 bytes encrypted to the CA's key; the set around them has a length
    recipients = content.rindex(b"\x31\x82", 0, at)
    shorter = int.from_bytes(content[recipients + 2 : recipients + 4]) - 1
    info = int.from_bytes(content[recipients + 6 : recipients + 8]) - 1
    cut = (
        content[: recipients + 2]
        + shorter.to_bytes(2)
        + content[recipients + 4 : recipients + 6]
        + info.to_bytes(2)
        + content[recipients + 8 : at]
        + b"\x04\x82\x01\x7f"
        + content[at + 5 :]
    )
    assert reason(ca, CLIENT.wrap(cut)) == "content"


@pytest.mark.parametrize("offset", [-1, -17, -33, -200])
def test_changed_ciphertext_is_refused_alike(ca: Authority, offset: int) -> None:
    envelope = bytearray(enveloped(CSR, ca.current.certificate, "aes128", PLAIN))
    envelope[offset] ^= 1
    assert reason(ca, CLIENT.wrap(bytes(envelope))) in {"content", "request"}


def test_one_of_several_recipients_is_ours(ca: Authority) -> None:
    other = made.self_signed(made.rsa_key(1), serial=9)
    stranger = tlv(0x30, b"\x02\x01\x00", tlv(0x80, b"key"), made.algorithm(made.RSA_OID), tlv(0x04, bytes(256)))
    agreement = tlv(0xA1, b"\x02\x01\x03")
    content = enveloped(CSR, ca.current.certificate, "aes128", PLAIN, others=[agreement, stranger])
    assert read(ca, CLIENT.wrap(content)).challenge == "open-sesame"
    elsewhere = enveloped(CSR, other.certificate, "aes128", PLAIN, others=[agreement, stranger])
    assert reason(ca, CLIENT.wrap(elsewhere)) == "recipient"


def test_another_ca_with_the_same_serial_number_is_not_ours(ca: Authority) -> None:
    other = made.self_signed(made.rsa_key(0, 3072), serial=ca.current.certificate.serial_number)
    assert reason(ca, CLIENT.wrap(enveloped(CSR, other.certificate, "aes128", PLAIN))) == "recipient"


def test_a_recipient_may_be_meant_by_its_key_identifier(ca: Authority) -> None:
    content = enveloped(CSR, ca.current.certificate, "aes128", Shape(by_key_id=True))
    assert read(ca, CLIENT.wrap(content)).recipient is ca.current


def test_nothing_is_encrypted_to_a_key_that_cannot_be_encrypted_to() -> None:
    curved = read_certificate(made.self_signed(made.ec_key(0)).der)
    with pytest.raises(TypeError, match="RSA"):
        envelopes.envelope(b"content", curved, AES_128)


def test_pieces_that_are_no_strings_are_refused(ca: Authority) -> None:
    content = enveloped(CSR, ca.current.certificate, "aes128", Shape(piece_bytes=100))
    at = content.index(b"\x04\x64", content.index(made.oid(CIPHERS["aes128"][0])))  # the first piece of 100 bytes
    assert reason(ca, CLIENT.wrap(content[:at] + b"\x05" + content[at + 1 :])) == "malformed"


def test_a_request_whose_signature_has_a_broken_byte_is_refused(ca: Authority) -> None:
    at = CSR.rindex(tlv(0x03, b"\0" + bytes(256))[:4])
    broken = CSR[: at + 4] + b"\x01" + CSR[at + 5 :]
    assert reason(ca, CLIENT.request(ca.current.certificate, broken)) == "content"


def test_a_broken_last_block_is_refused(ca: Authority) -> None:
    whole = enveloped(b"x" * 20, ca.current.certificate, "aes128", PLAIN)
    at = whole.rindex(b"\x80\x20")  # the encrypted content of 32 bytes
    cut = whole[:at] + b"\x80\x1f" + whole[at + 2 : -1]
    assert reason(ca, CLIENT.wrap(cut)) == "malformed"  # the outer lengths no longer fit
    rounded = enveloped(b"", ca.current.certificate, "aes128", Shape("sha256", open_ended=True))
    at = rounded.rindex(b"\x80\x10")
    assert (
        reason(ca, CLIENT.wrap(rounded[:at] + b"\x80\x0f" + rounded[at + 2 : at + 17] + rounded[at + 18 :]))
        == "content"
    )


@pytest.mark.parametrize(
    ("sought", "put", "expected"),
    [
        (made.oid(made.ENVELOPED_OID), made.oid(made.SIGNED_OID), "malformed"),
        (made.oid(CIPHERS["aes128"][0]), made.oid("2.16.840.1.101.3.4.1.6"), "cipher"),
        (made.oid(CIPHERS["aes128"][0]), made.oid(CIPHERS["aes256"][0]), "content"),
        (made.oid(made.RSA_OID), made.oid("1.2.840.113549.1.1.7"), "cipher"),
        (b"\x04\x10", b"\x04\x0f", "malformed"),
    ],
    ids=["not enveloped", "another mode", "another key length", "another wrapping", "a short vector"],
)
def test_an_envelope_of_another_kind_is_refused(ca: Authority, sought: bytes, put: bytes, expected: str) -> None:
    envelope = enveloped(CSR, ca.current.certificate, "aes128", PLAIN)
    assert reason(ca, CLIENT.wrap(envelope.replace(sought, put, 1))) == expected


REASONS = {
    *("size", "malformed", "content", "signers", "algorithm", "digest", "signature"),
    *("recipient", "cipher", "kind", "signer", "request"),
}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_reason(ca: Authority, message: bytes) -> None:
    assert reason(ca, message) in REASONS
    assert reason(ca, CLIENT.wrap(message)) in REASONS


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_within_an_envelope_are_refused_with_a_reason(ca: Authority, content: bytes) -> None:
    assert reason(ca, CLIENT.request(ca.current.certificate, content)) == "content"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["message", "envelope", "request"]), st.data())
def test_a_changed_message_is_refused_with_a_reason_or_says_the_same(
    ca: Authority, layer: str, data: st.DataObject
) -> None:
    def changed(original: bytes) -> bytes:
        whole = bytearray(original)
        for _ in range(data.draw(st.integers(1, 3))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        return bytes(whole)

    csr = changed(CSR) if layer == "request" else CSR
    envelope = enveloped(csr, ca.current.certificate, "3des", PLAIN)
    message = CLIENT.wrap(changed(envelope) if layer == "envelope" else envelope)
    request = None
    with contextlib.suppress(ScepError):
        request = read(ca, changed(message) if layer == "message" else message)
    if request:
        assert (request.challenge, spki(request.public_key)) == ("open-sesame", spki(KEY.public_key()))
