"""An iPad's certificate told by a proxy: heard of a named proxy only, and judged as any other."""

import base64
import http.client
import plistlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleet import clock
from fleet.channels.gate import PEER
from fleet.crypto import vault_key
from fleet.mdm import authority
from fleet.mdm.authority import Authority
from tests import apple_messages
from tests.apple_messages import IPAD, Identity
from tests.extent import on
from tests.gate import Door, Headers
from tests.ipad_gate import ipad_door, ticket_code
from tests.ipads import Ipad
from tests.serving import serving

pytestmark = on("postgresql")  # what it is about is who speaks

PROXY, STRANGER, HEADER = "10.0.0.5", "10.0.0.6", b"x-client-cert"


@pytest.fixture
def gate(fresh_url: str, tmp_path: Path) -> Iterator[Door]:
    told = {"FLEET_PROXIES": f"{PROXY},fd00::/64", "FLEET_CLIENT_CERT_HEADER": "X-Client-Cert"}
    with ipad_door(fresh_url, tmp_path, **told) as made:
        yield made


@pytest.fixture
def tablet(gate: Door) -> Ipad:
    made = Ipad(gate.send, "IPAD1")
    made.enrol(ticket_code(gate), key=apple_messages.rsa_key(1))
    return made


def certificate(tablet: Ipad) -> x509.Certificate:
    assert tablet.identity is not None
    return tablet.identity.certificate


def bytes_form(one: x509.Certificate) -> bytes:
    """As RFC 9440 has it."""
    return b":" + base64.b64encode(one.public_bytes(Encoding.DER)) + b":"


def nginx_form(one: x509.Certificate) -> bytes:
    return quote(one.public_bytes(Encoding.PEM), safe="").encode()


def call(gate: Door, tablet: Ipad, *headers: tuple[bytes, bytes], peer: str | None = PROXY) -> int:
    """Have the tablet call with these headers; what the proxy says of its address is the same whoever says it."""
    body = plistlib.dumps({"UDID": tablet.udid, "Status": "Idle"})
    return put(gate, body, headers, peer)


def put(gate: Door, body: bytes, headers: Headers, peer: str | None) -> int:
    scope: dict[str, Any] = {PEER: peer}
    return gate.wait(gate.call("PUT", "/apple/mdm", headers, chunks=(body,), client=(PROXY, 1), **scope)).status


def signature(tablet: Ipad, identity: Identity) -> tuple[bytes, bytes]:
    body = plistlib.dumps({"UDID": tablet.udid, "Status": "Idle"})
    signed = apple_messages.signed_message(body, identity, IPAD, attached=False)
    return (b"mdm-signature", base64.b64encode(signed))


def test_a_named_proxy_is_heard_in_both_forms_and_no_signature_is_needed(gate: Door, tablet: Ipad) -> None:
    for form in (bytes_form, nginx_form):
        told = (HEADER, form(certificate(tablet)))
        assert call(gate, tablet, told) == 200
        assert call(gate, tablet, told, peer=f"::ffff:{PROXY}") == 200
        assert call(gate, tablet, told, peer="fd00::7") == 200


def test_a_check_in_is_believed_by_it_too(gate: Door, tablet: Ipad) -> None:
    body = plistlib.dumps({"UDID": tablet.udid, "MessageType": "DeclarativeManagement", "Endpoint": "tokens"})
    headers = [
        (b"content-type", b"application/x-apple-aspen-mdm-checkin"),
        (HEADER, nginx_form(certificate(tablet))),
    ]
    assert put(gate, body, headers, PROXY) in {200, 404}
    assert put(gate, body, headers, STRANGER) == 400


def test_anybody_else_is_not_heard(gate: Door, tablet: Ipad) -> None:
    assert tablet.identity is not None
    told, signed = (HEADER, nginx_form(certificate(tablet))), signature(tablet, tablet.identity)
    for peer in (STRANGER, "fd00:0:0:1::7", "127.0.0.1", "", "10.0.0.5.example", None):
        assert call(gate, tablet, told, peer=peer) == 400
        assert call(gate, tablet, told, signed, peer=peer) == 200  # but his signature counts
        assert call(gate, tablet, (HEADER, b"junk"), signed, peer=peer) == 200


def test_a_header_that_comes_twice_is_none(gate: Door, tablet: Ipad) -> None:
    for form in (bytes_form, nginx_form):
        told = (HEADER, form(certificate(tablet)))
        for other in (told, (HEADER, b""), (HEADER, b"x")):
            assert call(gate, tablet, told, other) == 400
            assert call(gate, tablet, other, told) == 400


def test_a_header_under_another_name_is_none(gate: Door, tablet: Ipad) -> None:
    for name in (b"client-cert", b"x_client_cert", b"x-client-cert-chain"):
        assert call(gate, tablet, (name, nginx_form(certificate(tablet)))) == 400


def test_a_certificate_that_does_not_count_does_not_count_here(gate: Door, tablet: Ipad, tmp_path: Path) -> None:
    secrets_dir, now = tmp_path / "secrets", clock.now()
    ours = authority.load(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=False), now=now)
    foreign = authority.load(tmp_path / "others", bytes(32), now=now)
    key = apple_messages.rsa_key(3)

    def issued(by: Authority, days: int) -> x509.Certificate:
        return by.issue(key.public_key(), subject_name="tablet", now=now - timedelta(days=days))

    assert call(gate, tablet, (HEADER, nginx_form(issued(ours, 800)))) == 400  # expired
    assert call(gate, tablet, (HEADER, nginx_form(issued(ours, -2)))) == 400  # not yet
    assert call(gate, tablet, (HEADER, nginx_form(issued(foreign, 0)))) == 400
    assert call(gate, tablet, (HEADER, nginx_form(apple_messages.self_signed(key).certificate))) == 400
    assert call(gate, tablet, (HEADER, nginx_form(issued(ours, 0)))) == 403  # ours, but nobody's


def test_another_tablets_certificate_is_refused(gate: Door, tablet: Ipad) -> None:
    other = Ipad(gate.send, "IPAD2")
    other.enrol(ticket_code(gate), key=apple_messages.rsa_key(2))
    assert call(gate, tablet, (HEADER, nginx_form(certificate(other)))) == 403


def test_certificate_and_signature_must_be_the_same_tablets(gate: Door, tablet: Ipad) -> None:
    other = Ipad(gate.send, "IPAD2")
    other.enrol(ticket_code(gate), key=apple_messages.rsa_key(2))
    assert tablet.identity is not None
    assert other.identity is not None
    own, others = (HEADER, nginx_form(certificate(tablet))), (HEADER, nginx_form(certificate(other)))
    assert call(gate, tablet, own, signature(tablet, tablet.identity)) == 200
    assert call(gate, tablet, own, signature(tablet, other.identity)) == 400
    assert call(gate, tablet, others, signature(tablet, tablet.identity)) == 400
    assert call(gate, tablet, own, (b"mdm-signature", b"junk")) == 400
    assert call(gate, tablet, own, (b"mdm-signature", b"")) == 400


def test_what_is_no_certificate_is_refused(gate: Door, tablet: Ipad) -> None:
    assert tablet.identity is not None
    signed = signature(tablet, tablet.identity)
    junk = [
        b"junk",
        b":",
        b"::",
        b":AAAA",
        b":!:",
        b":AAAA:",
        b":AAAA:;x=1",
        b"%",
        b"%0A",
        b"-----BEGIN CERTIFICATE-----",
    ]
    junk += [quote(f"-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n").encode() for inside in "!A"]
    junk += [b"\xe6\xf8\xe5", b":" + b"A" * 20_000 + b":"]
    for told in junk:
        assert call(gate, tablet, (HEADER, told)) == 400
        assert call(gate, tablet, (HEADER, told), signed) == 400


def test_two_certificates_in_one_value_are_none(gate: Door, tablet: Ipad) -> None:
    twice = certificate(tablet).public_bytes(Encoding.PEM) * 2
    assert call(gate, tablet, (HEADER, quote(twice, safe="").encode())) == 400
    assert call(gate, tablet, (HEADER, bytes_form(certificate(tablet)) * 2)) == 400


def test_it_is_off_unless_it_is_told(fresh_url: str, tmp_path: Path) -> None:
    with ipad_door(fresh_url, tmp_path, FLEET_PROXIES=PROXY) as gate:
        tablet = Ipad(gate.send, "IPAD1")
        tablet.enrol(ticket_code(gate), key=apple_messages.rsa_key(1))
        for name in (b"client-cert", HEADER, b""):
            assert call(gate, tablet, (name, nginx_form(certificate(tablet)))) == 400


@pytest.mark.serves
@pytest.mark.parametrize(("proxies", "status"), [("127.0.0.1", 403), ("10.0.0.5", 400)])
def test_the_address_at_the_other_end_counts_and_not_what_a_header_says_of_it(
    fresh_url: str, tmp_path: Path, proxies: str, status: int
) -> None:
    with serving(
        fresh_url, tmp_path / "data", jobs="off", FLEET_PROXIES=proxies, FLEET_CLIENT_CERT_HEADER="X-Client-Cert"
    ) as server:
        secrets_dir, now = tmp_path / "data" / "secrets", clock.now()
        ours = authority.load(secrets_dir, vault_key(secrets_dir / "vault.key", may_create=False), now=now)
        shown = ours.issue(apple_messages.rsa_key(3).public_key(), subject_name="tablet", now=now)
        connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
        headers = {"X-Forwarded-For": "10.0.0.5", "X-Client-Cert": nginx_form(shown).decode()}
        connection.request("PUT", "/apple/mdm", plistlib.dumps({"UDID": "x", "Status": "Idle"}), headers)
        assert connection.getresponse().status == status  # ours, but nobody's; or nobody is heard
        connection.close()
