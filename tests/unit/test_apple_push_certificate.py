"""The push certificate: asked for, read from an upload, renewed, watched until it runs out."""

import ssl
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.mdm import push_certificate
from fleet.mdm.push_certificate import PushCertificate, PushCertificateError

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
TOPIC = "com.apple.mgmt.External.3f0c1a2e-7f7c-4a1b-9a57-000000000001"
KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PORTAL = ec.generate_private_key(ec.SECP256R1())
USER_ID, COMMON, EMAIL = NameOID.USER_ID, NameOID.COMMON_NAME, NameOID.EMAIL_ADDRESS
SUBJECT = ((USER_ID, TOPIC), (COMMON, "APSP:3f0c1a2e"))
Subject = tuple[tuple[x509.ObjectIdentifier, str], ...]


def certificate(
    subject: Subject = SUBJECT, *, key: Any = KEY, until: datetime = NOW + timedelta(days=365)
) -> x509.Certificate:
    """Return a certificate as the portal makes them."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]))
        .issuer_name(x509.Name([x509.NameAttribute(COMMON, "Application Integration 2")]))
        .public_key(key.public_key())
        .serial_number(0x2A00FF)
        .not_valid_before(until - timedelta(days=365))
        .not_valid_after(until)
    )
    return builder.sign(PORTAL, hashes.SHA256())


def pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


def der(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.DER)


def read(uploaded: bytes) -> PushCertificate:
    return push_certificate.read(uploaded, [OTHER, KEY], now=NOW)


def refused(uploaded: bytes, *keys: rsa.RSAPrivateKey) -> dict[str, Any]:
    with pytest.raises(PushCertificateError) as caught:
        push_certificate.read(uploaded, keys or [KEY], now=NOW)
    return caught.value.data


def test_the_request_asks_for_a_certificate_of_the_key_that_stays_here() -> None:
    asked = push_certificate.make_request(email="ikt@kommune.example", organisation="Storvik kommune")
    request = x509.load_der_x509_csr(asked.csr_der)
    assert request.is_signature_valid
    assert request.public_key() == asked.key.public_key()
    assert asked.key.key_size == 2048
    assert request.subject.rfc4514_string() == "1.2.840.113549.1.9.1=ikt@kommune.example,CN=Storvik kommune,C=NO"
    assert x509.load_pem_x509_csr(asked.csr_pem) == request
    assert "BEGIN" not in repr(asked)


@pytest.mark.parametrize(
    "uploaded",
    [
        pytest.param(der(certificate()), id="DER"),
        pytest.param(pem(certificate()), id="PEM"),
        pytest.param(b"Bag Attributes\r\n" + pem(certificate()).replace(b"\n", b"\r\n"), id="PEM with text and CRLF"),
        pytest.param(pem(certificate(((COMMON, "Authority"),), key=PORTAL)) + pem(certificate()), id="after its authority"),
        pytest.param(pem(certificate(key=PORTAL)) + pem(certificate()), id="after one of another's key"),
    ],
)  # fmt: skip
def test_what_the_portal_gave_is_read_in_any_form(uploaded: bytes) -> None:
    found = read(uploaded)
    assert (found.topic, found.owner, found.serial) == (TOPIC, "APSP:3f0c1a2e", "2a00ff")
    assert found.expires_at == NOW + timedelta(days=365)
    assert found.key is KEY
    assert x509.load_pem_x509_certificate(found.pem) == found.certificate


@pytest.mark.parametrize(
    ("subject", "owner"),
    [
        (((USER_ID, TOPIC), (COMMON, "APSP:1"), (EMAIL, "ikt@kommune.example")), "ikt@kommune.example"),
        (((USER_ID, TOPIC), (COMMON, "APSP:1")), "APSP:1"),
        (((USER_ID, TOPIC),), None),
    ],
)
def test_the_owner_is_the_address_or_the_name_or_nobody(subject: Subject, owner: str | None) -> None:
    assert read(der(certificate(subject))).owner == owner


@pytest.mark.parametrize(
    ("uploaded", "expected"),
    [
        pytest.param(b"", {"reason": "unreadable"}, id="nothing"),
        pytest.param(b"PK\x03\x04", {"reason": "unreadable"}, id="something else"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", {"reason": "unreadable"}, id="broken"),
        pytest.param(pem(certificate()) + b"\n" * 65_536, {"reason": "unreadable"}, id="too long"),
        pytest.param(der(certificate(((COMMON, "kommune.example"),))), {"reason": "topic-missing"}, id="no topic"),
        pytest.param(der(certificate(((USER_ID, "com.example.app"),))), {"reason": "topic-missing"}, id="an app's topic"),
        pytest.param(der(certificate(((USER_ID, TOPIC), (USER_ID, TOPIC + "2")))), {"reason": "topic-missing"}, id="two topics"),
        pytest.param(der(certificate(key=OTHER)), {"reason": "key"}, id="another's key"),
        pytest.param(der(certificate(key=PORTAL)), {"reason": "key"}, id="another kind of key"),
        pytest.param(der(certificate(until=NOW)), {"reason": "expired", "expired_at": NOW}, id="run out"),
    ],
)  # fmt: skip
def test_an_upload_that_cannot_serve_is_refused_with_its_reason(uploaded: bytes, expected: dict[str, Any]) -> None:
    assert refused(uploaded) == expected


def test_without_any_request_of_ours_no_certificate_is_taken() -> None:
    with pytest.raises(PushCertificateError):
        push_certificate.read(der(certificate()), [], now=NOW)


@example((213, 0))  # a kind of key that nobody knows
@example((12, 0))  # a version that is none
@example((15, 255))  # a serial number below zero
@given(st.one_of(st.binary(), st.tuples(st.integers(0, 10_000), st.integers(0, 255))))
def test_any_upload_is_read_or_refused_and_nothing_else(damage: bytes | tuple[int, int]) -> None:
    uploaded = damage
    if isinstance(damage, tuple):
        changed = bytearray(der(certificate()))
        changed[damage[0] % len(changed)] = damage[1]
        uploaded = bytes(changed)
    assert isinstance(uploaded, bytes)
    try:
        read(uploaded)
    except PushCertificateError as error:
        assert error.data["reason"] in {"unreadable", "topic-missing", "key", "expired"}  # noqa: PT017 - or none at all


def test_what_the_library_accepts_with_a_warning_only_is_refused() -> None:
    negative = bytearray(der(certificate()))
    negative[15] = 0xFF  # the first byte of the serial number
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert refused(bytes(negative)) == {"reason": "unreadable"}


def test_a_renewal_keeps_its_topic_and_runs_longer() -> None:
    current = read(der(certificate()))
    push_certificate.check_renewal(current, current)
    push_certificate.check_renewal(current, read(der(certificate(key=OTHER, until=NOW + timedelta(days=366)))))


def test_another_topic_is_refused_for_it_would_orphan_every_tablet() -> None:
    current, new = read(der(certificate())), read(der(certificate(((USER_ID, TOPIC + "-b"),))))
    with pytest.raises(PushCertificateError) as caught:
        push_certificate.check_renewal(current, new)
    assert caught.value.data == {"reason": "topic", "current": TOPIC, "new": TOPIC + "-b"}


def test_last_years_certificate_is_refused() -> None:
    current, old = read(der(certificate())), read(der(certificate(until=NOW + timedelta(days=20))))
    with pytest.raises(PushCertificateError) as caught:
        push_certificate.check_renewal(current, old)
    assert caught.value.data["reason"] == "older"


@pytest.mark.parametrize(
    ("left", "days", "step"),
    [
        (timedelta(days=365), 365, None),
        (timedelta(days=60), 60, None),
        (timedelta(days=60, seconds=-1), 59, 60),
        (timedelta(days=30, seconds=-1), 29, 30),
        (timedelta(days=13, hours=5), 13, 14),
        (timedelta(days=6, hours=23), 6, 7),
        (timedelta(seconds=1), 0, 7),
        (timedelta(0), 0, 0),
        (timedelta(seconds=-1), -1, 0),
        (timedelta(days=-3), -3, 0),
    ],
)
def test_days_left_lead_to_ever_narrower_warnings(left: timedelta, days: int, step: int | None) -> None:
    found = read(der(certificate()))
    now = found.expires_at - left
    assert (found.days_left(now), found.warning_step(now)) == (days, step)


def test_the_tls_settings_hold_certificate_and_key_and_leave_no_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = read(der(certificate())).client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert list(tmp_path.iterdir()) == []


def test_no_key_shows_when_a_push_certificate_is_printed() -> None:
    assert "PrivateKey" not in repr(read(der(certificate())))
