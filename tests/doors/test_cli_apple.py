"""``fleet apple``: from the request to the certificate in use, and what is refused."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from flask import Flask

from fleet import clock
from fleet.db import transaction
from fleet.mdm import errands, listed
from fleet.mdm.listed import Listed
from tests import factories
from tests.conftest import NOW
from tests.doors.fleet_command import run
from tests.school_manager import token_file

TOPIC = "com.apple.mgmt.External.11112222-3333-4444-5555-666677778888"


def portal(request: bytes, topic: str = TOPIC, *, days: int = 365) -> bytes:
    """Make of a request what Apple's portal makes of it."""
    asked = x509.load_pem_x509_csr(request)
    now, own = clock.now(), rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Push"), x509.NameAttribute(NameOID.USER_ID, topic)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Portal")]))
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(own, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def asked(app: Flask) -> bytes:
    result = run(app, "apple", "push-request", "--email", "it@kommune.example")
    assert result.exit_code == 0, result.output
    return result.stdout.encode()


def upload(app: Flask, folder: Path, content: bytes) -> tuple[int, str]:
    file = folder / "push.pem"
    file.write_bytes(content)
    result = run(app, "apple", "push-upload", str(file))
    return result.exit_code, result.output


def test_a_certificate_is_asked_for_brought_and_renewed(app: Flask, tmp_path: Path) -> None:
    assert "none: iPads cannot be taken in" in run(app, "apple", "status").output
    assert upload(app, tmp_path, portal(asked(app)))[0] == 0
    told = json.loads(run(app, "apple", "status", "--json").output)
    assert (told["push_certificate"]["topic"], told["push_certificate"]["days_left"]) == (TOPIC, 364)
    assert told["ipads"]["clients"] == 0
    assert factories.audited(1)[0].action == "mdm.push-certificate-set"
    assert upload(app, tmp_path, portal(asked(app), days=700))[0] == 0
    assert TOPIC in run(app, "apple", "status").output


@pytest.mark.parametrize(
    ("topic", "days", "words"),
    [("com.apple.mgmt.External.other", 700, "another topic"), (TOPIC, -1, "has run out"), ("no.topic", 700, "no push")],
)
def test_a_certificate_that_would_orphan_every_ipad_is_refused(
    app: Flask, tmp_path: Path, topic: str, days: int, words: str
) -> None:
    upload(app, tmp_path, portal(asked(app)))
    code, output = upload(app, tmp_path, portal(asked(app), topic, days=days))
    assert (code, words in output) == (1, True), output
    assert json.loads(run(app, "apple", "status", "--json").output)["push_certificate"]["topic"] == TOPIC


def test_anothers_certificate_and_what_is_none_are_refused(app: Flask, tmp_path: Path) -> None:
    asked(app)
    stranger = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(stranger, hashes.SHA256())
    code, output = upload(app, tmp_path, portal(request.public_bytes(Encoding.PEM)))
    assert (code, "another request's key" in output) == (1, True)
    code, output = upload(app, tmp_path, b"no certificate")
    assert (code, "no certificate that can be read" in output) == (1, True)


def test_the_device_ca_is_replaced_only_when_one_says_so(app: Flask) -> None:
    run(app, "apple", "status")  # the first start makes one
    assert run(app, "apple", "ca-rotate").exit_code == 2
    assert "restart the server" in run(app, "apple", "ca-rotate", "--yes").output
    assert json.loads(run(app, "apple", "status", "--json").output)["device_ca"]["former"] == 1


def token(app: Flask, folder: Path, content: bytes) -> tuple[int, str]:
    file = folder / "token.p7m"
    file.write_bytes(content)
    result = run(app, "apple", "token-upload", str(file))
    return result.exit_code, result.output


def test_a_server_token_is_asked_for_brought_and_renewed(app: Flask, tmp_path: Path) -> None:
    assert "none: iPads enrol by tickets only" in run(app, "apple", "status").output
    certificate = run(app, "apple", "token-key", "--new").stdout.encode()
    assert run(app, "apple", "token-key").stdout.encode() == certificate
    for days in (100, 365):
        ends = clock.now() + timedelta(days=days, minutes=5)
        assert token(app, tmp_path, token_file(certificate, expires_at=ends)) == (
            0, f"server token: good for {days} days\n",
        )  # fmt: skip
    told = json.loads(run(app, "apple", "status", "--json").output)["server_token"]
    assert told["days_left"] == 365
    line = factories.audited(1)[0]
    assert (line.action, set(line.fields)) == ("mdm.server-token-set", {"ends_at"})


def test_a_server_token_of_another_key_and_what_is_none_are_refused(app: Flask, tmp_path: Path) -> None:
    former = run(app, "apple", "token-key", "--new").stdout.encode()
    run(app, "apple", "token-key", "--new")
    ends = clock.now() + timedelta(days=365)
    code, output = token(app, tmp_path, token_file(former, expires_at=ends))
    assert (code, "encrypted to another key" in output) == (1, True), output
    code, output = token(app, tmp_path, b"nothing")
    assert (code, "no server token" in output) == (1, True), output


def test_what_no_delivery_list_has_is_listed_and_can_be_expected(app: Flask) -> None:
    with transaction():
        school = factories.school("Kjenn skole")
        factories.device(school, serial="LISTED", listed_at=NOW)
        told = [Listed(serial, "iPad 10th Gen", "", "iPad", None) for serial in ("LISTED", "NEW1")]
        listed.note(told, now=NOW)
    every = json.loads(run(app, "apple", "devices", "--json").output)
    assert [(one["serial"], one["here"], one["profile"]) for one in every] == [
        ("LISTED", "enrolled", False), ("NEW1", None, False),
    ]  # fmt: skip
    assert "LISTED" not in run(app, "apple", "devices", "--missing").output
    assert run(app, "apple", "devices", "--expect").exit_code == 2
    result = run(app, "apple", "devices", "--expect", "--school", "Kjenn skole")
    assert result.output == "1 are added, 0 are on the list now, 0 stay\n"
    assert json.loads(run(app, "apple", "devices", "--missing", "--json").output) == []
    assert json.loads(run(app, "devices", "show", "NEW1", "--json").output)["school"] == "Kjenn skole"


def test_a_sync_is_asked_for_and_its_failure_is_told(app: Flask, tmp_path: Path) -> None:
    certificate = run(app, "apple", "token-key", "--new").stdout.encode()
    token(app, tmp_path, token_file(certificate, expires_at=clock.now() + timedelta(days=365)))
    assert "not read yet" in run(app, "apple", "status").output
    assert "within seconds" in run(app, "apple", "sync").output
    for failure, words in (("terms-not-accepted", "accept Apple's terms"), ("odd", "odd")):
        now = clock.now()
        with transaction():
            errands.hurry(listed.SCHOOL_MANAGER, now=now)
            turn = errands.take(listed.SCHOOL_MANAGER, hold=timedelta(minutes=1), now=now)
            assert turn is not None
            errands.failed(turn, failure, memory={}, after=None, now=now)
        assert words in run(app, "apple", "status").output
