"""The device CA: made once, kept sealed, issues what tablets take, and knows its own for as long as they count."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.channels.apple.cms import verify_detached
from fleet.crypto import UnsealError, seal
from fleet.mdm import authority
from fleet.mdm.authority import CERTIFICATE_LIFE, Authority, CertificateError, DeviceCA, WeakKeyError
from tests import apple_messages as made
from tests.apple_messages import IPAD, NOW, Identity, Oddness, signed_message, tlv

VAULT, OTHER_VAULT = bytes(32), bytes(range(32))
KEY = made.rsa_key(0)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority.load(tmp_path_factory.mktemp("ours"), VAULT, now=NOW)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority.load(tmp_path_factory.mktemp("theirs"), VAULT, now=NOW)


def issued(by: Authority, *, key: made.Key = KEY, now: datetime = NOW, not_after: datetime | None = None) -> bytes:
    certificate = by.issue(key.public_key(), subject_name="tablet-1", now=now, not_after=not_after)
    return certificate.public_bytes(Encoding.DER)


def reason(by: Authority, certificate: bytes, now: datetime = NOW) -> str:
    with pytest.raises(CertificateError) as refused:
        by.check(certificate, now)
    return refused.value.reason


def test_the_ca_is_made_once_and_stays(tmp_path: Path) -> None:
    first = authority.load(tmp_path, VAULT, now=NOW)
    again = authority.load(tmp_path, VAULT, now=NOW + DAY)
    assert again.current.der == first.current.der
    assert again.current.key.private_numbers() == first.current.key.private_numbers()
    assert again.former == ()


def test_many_who_start_together_agree_on_one_ca(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: authority.load(tmp_path, VAULT, now=NOW), range(4)))
    assert len({one.current.der for one in found}) == 1
    assert found[0].check(issued(found[-1]), NOW)
    assert [path.name for path in (tmp_path / "device-ca").iterdir()] == ["0001.json"]


def test_the_ca_key_is_never_on_disk_in_the_clear(tmp_path: Path) -> None:
    key = authority.load(tmp_path, VAULT, now=NOW).current.key.private_numbers()
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    stored = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"BEGIN CERTIFICATE" in stored
    assert b"PRIVATE" not in stored
    with pytest.raises(UnsealError):
        authority.load(tmp_path, OTHER_VAULT, now=NOW)
    sealed = base64.b64decode(msgspec.json.decode(stored)["sealed_key"])
    assert all(number.to_bytes(192) not in sealed for number in (key.p, key.q))


def test_a_key_put_beside_another_ca_certificate_is_not_opened(tmp_path: Path) -> None:
    for name in ("a", "b"):
        authority.load(tmp_path / name, VAULT, now=NOW)
    first, second = (msgspec.json.decode((tmp_path / n / "device-ca/0001.json").read_bytes()) for n in "ab")
    mixed = msgspec.json.encode({**first, "sealed_key": second["sealed_key"]})
    (tmp_path / "a" / "device-ca" / "0001.json").write_bytes(mixed)
    with pytest.raises(UnsealError):
        authority.load(tmp_path / "a", VAULT, now=NOW)


def test_a_ca_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    authority.load(tmp_path, VAULT, now=NOW)
    (tmp_path / "device-ca" / "0001.json").chmod(0o644)
    with pytest.raises(PermissionError):
        authority.load(tmp_path, VAULT, now=NOW)


def test_the_ca_certificate_may_sign_certificates_and_be_encrypted_to(ours: Authority) -> None:
    certificate = ours.current.certificate
    certificate.verify_directly_issued_by(certificate)
    extensions = certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
    assert usage.key_cert_sign
    assert usage.digital_signature
    assert usage.key_encipherment
    assert ours.current.key.key_size == 3072
    assert certificate.not_valid_after_utc == NOW + timedelta(days=3650)


@pytest.mark.parametrize("key", [KEY, made.ec_key(0)], ids=["rsa", "ec"])
def test_an_issued_certificate_is_a_clients_and_no_cas(ours: Authority, key: made.Key) -> None:
    certificate = ours.issue(key.public_key(), subject_name="tablet-1", now=NOW)
    certificate.verify_directly_issued_by(ours.current.certificate)
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(False, None)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    own = ours.current.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    named = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert named.key_identifier == own.digest
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert certificate.subject == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tablet-1")])
    assert certificate.public_key() == key.public_key()


def test_no_two_certificates_have_the_same_number(ours: Authority) -> None:
    numbers = {ours.issue(KEY.public_key(), subject_name="tablet-1", now=NOW).serial_number for _ in range(20)}
    assert len(numbers) == 20
    assert min(numbers).bit_length() > 64


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_subject_name_that_no_certificate_can_have_is_refused(ours: Authority, name: str) -> None:
    with pytest.raises(ValueError, match="length"):
        ours.issue(KEY.public_key(), subject_name=name, now=NOW)


def test_no_certificate_is_issued_for_a_small_key(ours: Authority) -> None:
    with pytest.raises(WeakKeyError):
        issued(ours, key=made.rsa_key(0, 1024))


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, CERTIFICATE_LIFE), (DAY, DAY), (2 * CERTIFICATE_LIFE, CERTIFICATE_LIFE)],
    ids=["unsaid", "shorter", "longer"],
)
def test_a_certificate_lives_two_years_or_less(ours: Authority, asked: timedelta | None, given: timedelta) -> None:
    identity = ours.check(issued(ours, not_after=NOW + asked if asked else None), NOW)
    assert (identity.not_before, identity.not_after) == (NOW - timedelta(hours=1), NOW + given)


def test_no_certificate_outlives_its_ca(ours: Authority) -> None:
    end = ours.current.certificate.not_valid_after_utc
    assert ours.check(issued(ours, now=end - DAY), end - DAY).not_after == end
    assert ours.rotate_by == end - CERTIFICATE_LIFE


def test_an_own_certificate_is_known_and_named_by_its_digest(ours: Authority) -> None:
    certificate = issued(ours)
    name = Identity(KEY, x509.load_der_x509_certificate(certificate)).name
    assert ours.check(certificate, NOW).name == name


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (-timedelta(hours=1, seconds=1), "not-yet"),
        (-timedelta(hours=1), None),
        (CERTIFICATE_LIFE, None),
        (CERTIFICATE_LIFE + timedelta(seconds=1), "expired"),
    ],
)
def test_a_certificate_counts_from_its_first_second_to_its_last(
    ours: Authority, after: timedelta, expected: str | None
) -> None:
    certificate = issued(ours)
    if expected is None:
        assert ours.check(certificate, NOW + after)
    else:
        assert reason(ours, certificate, NOW + after) == expected


def test_a_certificate_seen_in_time_is_still_refused_when_it_has_run_out(ours: Authority) -> None:
    certificate = issued(ours, not_after=NOW + DAY)
    assert ours.check(certificate, NOW)
    assert reason(ours, certificate, NOW + 2 * DAY) == "expired"


def by_hand(
    ca: DeviceCA, *, usages: list[x509.ObjectIdentifier] | None, digest: hashes.SHA256 | hashes.SHA512
) -> bytes:
    """Return a certificate that the CA's key signed, but not as the server issues them."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "by hand")]))
        .issuer_name(ca.certificate.subject)
        .public_key(KEY.public_key())
        .serial_number(77)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    if usages is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(ca.key, digest).public_bytes(Encoding.DER)


@pytest.mark.parametrize("usages", [None, [ExtendedKeyUsageOID.SERVER_AUTH]], ids=["none", "server"])
def test_a_certificate_for_something_else_is_no_clients(
    ours: Authority, usages: list[x509.ObjectIdentifier] | None
) -> None:
    assert reason(ours, by_hand(ours.current, usages=usages, digest=hashes.SHA256())) == "not-a-client"
    assert reason(ours, ours.current.der) == "not-a-client"


def test_a_certificate_signed_in_another_way_is_foreign(ours: Authority) -> None:
    assert (
        reason(ours, by_hand(ours.current, usages=[ExtendedKeyUsageOID.CLIENT_AUTH], digest=hashes.SHA512()))
        == "foreign"
    )


def test_another_ca_of_the_same_name_is_foreign(ours: Authority) -> None:
    key = made.rsa_key(1)
    pretender = DeviceCA(ours.current.certificate, key, ours.current.summary)
    forged = by_hand(pretender, usages=[ExtendedKeyUsageOID.CLIENT_AUTH], digest=hashes.SHA256())
    assert reason(ours, forged) == "foreign"


def test_certificates_of_others_are_foreign(ours: Authority, theirs: Authority) -> None:
    assert reason(ours, issued(theirs)) == "foreign"
    assert theirs.check(issued(theirs), NOW)
    assert reason(ours, theirs.current.der) == "foreign"
    assert reason(ours, made.self_signed(KEY).der) == "foreign"


def test_the_same_certificate_written_otherwise_has_no_second_name(ours: Authority) -> None:
    certificate = issued(ours)
    parsed = x509.load_der_x509_certificate(certificate)
    signed, signature = parsed.tbs_certificate_bytes, tlv(0x03, b"\0", parsed.signature)
    algorithm = made.algorithm("1.2.840.113549.1.1.11")
    assert tlv(0x30, signed, algorithm, signature) == certificate
    for otherwise in (
        tlv(0x30, signed, algorithm, signature, open_ended=True),
        tlv(0x30, signed, made.algorithm("1.2.840.113549.1.1.11", b""), signature),
        tlv(0x30, signed, tlv(0x30, made.oid("1.2.840.113549.1.1.11"), made.NULL, open_ended=True), signature),
    ):
        assert reason(ours, otherwise) == "foreign"


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_bytes_that_are_no_certificate_are_foreign(ours: Authority, stray: bytes) -> None:
    assert reason(ours, stray) == "foreign"


@pytest.fixture(scope="module")
def own(ours: Authority) -> bytes:
    return issued(ours)


@settings(deadline=None)
@given(st.data())
def test_no_changed_certificate_is_ours(ours: Authority, own: bytes, data: st.DataObject) -> None:
    changed = bytearray(own)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    assert reason(ours, bytes(changed)) == "foreign"


def test_who_signs_with_a_foreign_certificate_is_named_but_not_trusted(ours: Authority, theirs: Authority) -> None:
    for by, expected in ((ours, None), (theirs, "foreign")):
        holder = Identity(KEY, x509.load_der_x509_certificate(issued(by)))
        signer = verify_detached(signed_message(b"body", holder, IPAD, attached=False), b"body")
        assert signer.name == holder.name
        assert expected is None or reason(ours, signer.certificate) == expected


def test_the_cas_certificate_in_a_message_does_not_make_its_signer_ours(ours: Authority) -> None:
    stranger = made.self_signed(KEY)
    odd = Oddness(certificates=[ours.current.der, stranger.der])
    signer = verify_detached(signed_message(b"body", stranger, IPAD, attached=False, odd=odd), b"body")
    assert signer.name == stranger.name
    assert reason(ours, signer.certificate) == "foreign"


def test_a_new_ca_issues_and_the_former_one_stays_trusted(tmp_path: Path) -> None:
    before = authority.load(tmp_path, VAULT, now=NOW)
    old = issued(before)
    after = authority.rotate(tmp_path, VAULT, now=NOW + DAY)
    assert after.current.der != before.current.der
    assert after.current.summary.subject != before.current.summary.subject
    assert [ca.der for ca in after.former] == [before.current.der]
    assert after.check(old, NOW + DAY)
    assert after.check(issued(after, now=NOW + DAY), NOW + DAY)
    assert reason(before, issued(after, now=NOW + DAY), NOW + DAY) == "foreign"
    assert [ca.der for ca in authority.load(tmp_path, VAULT, now=NOW + DAY).all] == [ca.der for ca in after.all]


def test_a_former_ca_is_forgotten_when_all_it_issued_has_run_out(tmp_path: Path) -> None:
    authority.load(tmp_path, VAULT, now=NOW)
    authority.rotate(tmp_path, VAULT, now=NOW + DAY)
    last = NOW + DAY + CERTIFICATE_LIFE
    assert len(authority.load(tmp_path, VAULT, now=last).former) == 1
    late = last + timedelta(days=31)
    assert authority.load(tmp_path, VAULT, now=late).former == ()
    assert len(authority.rotate(tmp_path, VAULT, now=late).former) == 1
    assert sorted(path.name for path in (tmp_path / "device-ca").iterdir()) == ["0002.json", "0003.json"]


def test_there_is_nothing_to_rotate_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        authority.rotate(tmp_path, VAULT, now=NOW)


def test_a_file_with_another_kind_of_key_is_refused(tmp_path: Path, ours: Authority) -> None:
    authority.load(tmp_path, VAULT, now=NOW)
    path = tmp_path / "device-ca" / "0001.json"
    curved = made.ec_key(0)
    secret = curved.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = ours.current.certificate
    sealed = seal(VAULT, secret, purpose=authority._purpose(certificate))
    stored = authority._Stored(certificate.public_bytes(Encoding.PEM).decode(), sealed)
    path.write_bytes(msgspec.json.encode(stored))
    with pytest.raises(TypeError, match="no RSA key"):
        authority.load(tmp_path, VAULT, now=NOW)


def test_the_cas_key_is_of_its_certificate(ours: Authority) -> None:
    assert isinstance(ours.current.summary.key, rsa.RSAPublicKey)
    assert ours.current.summary.key == ours.current.key.public_key()
