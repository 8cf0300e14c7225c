"""Signed requests: one form only, every changed byte refused, and agreement with an independent library."""

import base64
import re
from collections.abc import Mapping
from typing import Any

import http_message_signatures as hms
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from agent_protocol import signing
from agent_protocol.errors import Code, MalformedError, ProtocolError
from agent_protocol.messages import Jwk
from tests.unit.protocol.keys import key

NOW = 1_789_373_700
REPORT: dict[str, Any] = {"method": "POST", "authority": "fleet.test", "path": "/agent/v1/reports", "query": ""}
BODY = b'{"report_id":"x"}'


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def signed(
    number: int = 1, *, body: bytes | None = BODY, created: int = NOW, nonce: str = "7", **changes: Any
) -> dict[str, str]:
    return lower(signing.sign_request(key(number), body=body, created=created, nonce=nonce, **(REPORT | changes)))


def verify(
    headers: Mapping[str, str], *, number: int = 1, body: bytes | None = BODY, now: float = NOW, **changes: Any
) -> None:
    request = signing.parse_request(headers, has_body=body is not None)
    signing.verify_request(request, key(number).public_key(), body=body, now=now, **(REPORT | changes))


def refusal(*given: Any, **changes: Any) -> Code:
    with pytest.raises(ProtocolError) as refused:
        verify(*given, **changes)
    return refused.value.code


def test_a_signed_request_is_accepted() -> None:
    verify(signed())
    verify(signed(body=None, method="GET", nonce="0"), body=None, method="GET")
    request = signing.parse_request(signed(), has_body=True)
    assert (request.keyid, request.created, request.sequence) == (signing.thumbprint(key(1).public_key()), NOW, 7)


@pytest.mark.parametrize(
    "changes",
    [{"method": "PUT"}, {"authority": "evil.test"}, {"path": "/agent/v1/config"}, {"query": "a=1"}, {"body": b"{}"}, {"body": b""}, {"number": 2}],
)  # fmt: skip
def test_what_was_not_signed_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(signed(), **changes) is Code.BAD_SIGNATURE


@pytest.mark.parametrize("away", [-3600, -301, 301, 3600])
def test_a_wrong_clock_has_its_own_code(away: int) -> None:
    assert refusal(signed(created=NOW + away)) is Code.CLOCK_SKEW


def test_the_window_is_five_minutes_and_a_forged_request_does_not_learn_the_time() -> None:
    verify(signed(created=NOW - 300))
    verify(signed(created=NOW + 300))
    assert refusal(signed(created=NOW - 3600), number=2) is Code.BAD_SIGNATURE


def test_every_flipped_bit_of_the_headers_is_refused() -> None:
    good = signed()
    for name, value in good.items():
        for place in range(len(value)):
            for bit in (1, 2, 4, 32):
                changed = value[:place] + chr(ord(value[place]) ^ bit) + value[place + 1 :]
                assert refusal(good | {name: changed}) is Code.BAD_SIGNATURE, (name, place, bit)


def test_every_flipped_byte_of_the_body_is_refused() -> None:
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert refusal(signed(), body=changed) is Code.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("pattern", "other"),
    [
        (r'"@query" ', ""),  # a component left out
        (r'"@method" "@authority"', '"@authority" "@method"'),  # another order
        (r'"content-digest"', '"content-digest" "date"'),  # one more
        (r";tag=", ';alg="hmac-sha256";tag='),  # an algorithm of the message's own
        (r'tag="fleet-agent-v1"', 'tag="other"'),
        (r"created=\d+", "created=01"),
        (r';nonce="7"', ""),
        (r"^fleet=", "sig1="),
        (r"$", ", other=()"),  # a second signature
    ],
)
def test_any_other_form_of_the_signature_is_refused(pattern: str, other: str) -> None:
    good = signed()
    assert (
        refusal(good | {"signature-input": re.sub(pattern, other, good["signature-input"], count=1)})
        is Code.BAD_SIGNATURE
    )


@pytest.mark.parametrize("missing", ["signature", "signature-input", "content-digest"])
def test_a_missing_header_is_refused(missing: str) -> None:
    headers = signed()
    del headers[missing]
    assert refusal(headers) is Code.BAD_SIGNATURE


def test_a_body_needs_its_digest_signed() -> None:
    assert refusal(signed(body=None)) is Code.BAD_SIGNATURE
    assert refusal(signed(), body=None) is Code.BAD_SIGNATURE


@given(st.dictionaries(st.sampled_from(["signature", "signature-input", "content-digest"]), st.text(max_size=300)))
def test_random_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ProtocolError):
        verify(headers)


@pytest.mark.parametrize("nonce", ["0", "07", "abc", "-1", "1.0", "99999999999999999"])
def test_a_nonce_that_is_no_sequence_is_refused(nonce: str) -> None:
    with pytest.raises(ProtocolError):
        _ = signing.parse_request(signed(nonce=nonce), has_body=True).sequence


# -- the independent library as oracle --------------------------------------------------------------------------------


class OneKey(hms.HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Any:  # noqa: ARG002 (the library calls it so)
        return key(1).public_key()

    def resolve_private_key(self, key_id: str) -> Any:  # noqa: ARG002 (the library calls it so)
        return key(1)


class Message:
    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.method, self.url, self.body = "POST", "https://fleet.test/agent/v1/reports", body
        self.headers = {"Host": "fleet.test", **headers}


class Verifier(hms.HTTPMessageVerifier):
    def validate_created_and_expires(self, *given: Any, **named: Any) -> None:
        """Take any time: our window is tested above."""


COMPONENTS = ("@method", "@authority", "@path", "@query", "content-digest")


@given(st.binary(max_size=300), st.integers(1, 10**15))
def test_the_library_accepts_what_we_sign(body: bytes, sequence: int) -> None:
    headers = signing.sign_request(key(1), body=body, created=NOW, nonce=str(sequence), **REPORT)
    verifier = Verifier(signature_algorithm=hms.algorithms.ECDSA_P256_SHA256, key_resolver=OneKey())
    results = verifier.verify(Message(headers, body), expect_tag="fleet-agent-v1")
    assert len(results) == 1
    assert [name.strip('"') for name in results[0].covered_components if "@signature-params" not in name] == list(
        COMPONENTS
    )


# -- keys ---------------------------------------------------------------------------------------------------------------


def test_the_thumbprint_follows_the_standard() -> None:
    # Computed by hand from RFC 7638 section 3: members in lexicographic order, no white space.
    jwk = signing.to_jwk(key(1).public_key())
    assert signing.thumbprint(jwk) == signing.thumbprint(key(1).public_key())
    assert len(base64.urlsafe_b64decode(signing.thumbprint(jwk) + "=")) == 32


def test_a_key_reads_back_and_one_that_is_none_is_refused() -> None:
    jwk = signing.to_jwk(key(1).public_key())
    assert signing.load_jwk(jwk).public_numbers() == key(1).public_key().public_numbers()
    for x, y in [
        (jwk.y, jwk.x),
        ("A" * 43, "A" * 43),
        (jwk.x, "_" * 43),
        (jwk.x[:-1] + chr(ord(jwk.x[-1]) + 1), jwk.y),
    ]:
        with pytest.raises(MalformedError):
            signing.load_jwk(Jwk("EC", "P-256", x, y))


def test_test_keys_are_p256() -> None:
    assert isinstance(key(1).curve, ec.SECP256R1)
    assert key(1).public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
