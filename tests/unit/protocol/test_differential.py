"""Our verifiers against those of libraries that others wrote, on sound and on spoiled messages.

What we accept, they accept: always. What they accept and we do not is of a kind that README.md names as stricter.
"""

import base64
import re
from dataclasses import replace
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import event, example, given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import SSlibKey

from agent_protocol import envelopes, signing
from agent_protocol.errors import UntrustedError
from agent_protocol.messages import CONFIG_TYPE, ROOT_TYPE, Envelope, Signature
from tests.unit.protocol.keys import key, repeatable
from tests.unit.protocol.oracle import Asked, ours, theirs

NOW = 1_789_373_700
# The order of P-256. Source: SEC 2 version 2, section 2.4.2.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SEGMENT = st.from_regex(r"[A-Za-z0-9_.~-]{1,12}", fullmatch=True)
_NONCE = st.integers(1, 10**15).map(str) | st.from_regex(r"[A-Za-z0-9_.-]{1,40}", fullmatch=True)


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """Return a request that test key 1 signed."""
    body = draw(st.none() | st.binary(max_size=200))
    whole: dict[str, Any] = {
        "method": "GET" if body is None else "POST",
        "authority": draw(st.sampled_from(["fleet.test", "fleet.test:8443", "[::1]:8000"])),
        "path": "/" + "/".join(draw(st.lists(_SEGMENT, min_size=1, max_size=4))),
        "query": draw(st.sampled_from(["", "a=1", "a=1&b=%20", "x"])),
    }
    nonce = draw(_NONCE)
    with repeatable():
        headers = signing.sign_request(key(1), body=body, created=NOW, nonce=nonce, **whole)
    return Asked(**whole, headers=headers, body=body)


def _swap(text: str, place: int, character: str) -> str:
    place %= max(1, len(text))
    return text[:place] + character + text[place + 1 :]


@st.composite
def spoiled(draw: st.DrawFn) -> Asked:
    """Return a request that was changed after it was signed, or signed in another form."""
    sound = draw(asked())
    headers = dict(sound.headers)
    what = draw(
        st.sampled_from(["method", "path", "query", "authority", "body", "header", "rewrite", "drop", "other-r-s"])
    )
    event(what)
    if what == "method":
        return replace(sound, method=draw(st.sampled_from(["PUT", "DELETE", "GET", "POST"])))
    if what in {"path", "query"}:
        return replace(sound, **{what: getattr(sound, what) + draw(st.sampled_from(["x", "1", "-"]))})
    if what == "authority":
        return replace(sound, authority=draw(st.sampled_from(["evil.test", "fleet.test", "fleet.test:8443"])))
    if what == "body":
        return replace(sound, body=draw(st.binary(max_size=20)))
    if what == "drop":
        del headers[draw(st.sampled_from(sorted(headers)))]
    elif what == "header":
        name = draw(st.sampled_from(sorted(headers)))
        headers[name] = _swap(
            headers[name], draw(st.integers(0, 400)), draw(st.characters(min_codepoint=32, max_codepoint=126))
        )
    elif what == "other-r-s":
        raw = base64.b64decode(headers["Signature"][len("fleet=:") : -1])
        s = N - int.from_bytes(raw[32:], "big")
        headers["Signature"] = f"fleet=:{base64.b64encode(raw[:32] + s.to_bytes(32, 'big')).decode()}:"
    else:
        pattern, other = draw(st.sampled_from(_REWRITES))
        headers = {name: re.sub(pattern, other, text, count=1) for name, text in headers.items()}
    return replace(sound, headers=headers)


_REWRITES = [
    (r"^fleet=", "sig1="),
    (r'"@query"', '"@query";req'),
    (r";tag=", ';alg="ecdsa-p256-sha256";tag='),
    (r";created=", "; created="),
    (r"fleet=\(", "fleet=( "),
    (r"$", ", "),
    (r"$", ' , b=("@method");keyid="x"'),
    (r"==:$", "=:"),
    (r"==:$", ":"),
    (r'"@method" ', ""),
    (r' "content-digest"', ""),
    (r"sha-256=:", "sha-512=:"),
    (r"sha-256=", "SHA-256="),
    (r"created=\d+", "created=0"),
    (r'nonce="[^"]*"', 'nonce="\\\\""'),
]


@given(asked())
def test_both_accept_what_was_signed(sound: Asked) -> None:
    assert ours(sound, key(1))
    assert theirs(sound, key(1))
    assert not ours(sound, key(2))
    assert not theirs(sound, key(2))


@given(spoiled())
def test_we_never_accept_a_request_that_the_library_refuses(given_: Asked) -> None:
    here, there = ours(given_, key(1)), theirs(given_, key(1))
    event(f"ours {here}, theirs {there}")
    assert here == there or (there and is_stricter_by_form(given_))


def is_stricter_by_form(given_: Asked) -> bool:
    """Whether the headers have a form that only we refuse, as README.md says: not exactly what signing would write."""
    headers = {name.lower(): text for name, text in given_.headers.items()}
    told = re.fullmatch(r'fleet=(\(.*\);created=(\d+);keyid="[^"]*";nonce="([^"]*)";tag="[^"]*")', headers.get("signature-input", ""))  # fmt: skip
    if told is None:
        return True
    exact = signing.sign_request(
        key(1), method=given_.method, authority=given_.authority, path=given_.path, query=given_.query,
        body=given_.body, created=int(told[2]), nonce=told[3],
    )  # fmt: skip
    same_input = exact["Signature-Input"] == headers["signature-input"]
    same_digest = exact.get("Content-Digest") == headers.get("content-digest")
    value = re.fullmatch(r"fleet=:([A-Za-z0-9+/]{86}==):", headers.get("signature", ""))
    is_plain = value is not None and base64.b64encode(base64.b64decode(value[1])).decode() == value[1]
    return not (same_input and same_digest and is_plain and re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", told[3]))


# -- envelopes --------------------------------------------------------------------------------------------------------


def _their_key(number: int) -> SSlibKey:
    return SSlibKey.from_crypto(key(number).public_key(), keyid=signing.thumbprint(key(number).public_key()))


def _verdicts(envelope: Envelope, numbers: list[int], threshold: int) -> tuple[bool, bool]:
    public = {signing.thumbprint(key(number).public_key()): key(number).public_key() for number in numbers}
    try:
        envelopes.verify(envelope, CONFIG_TYPE, public, threshold)
        here = True
    except UntrustedError:
        here = False
    try:
        other = OtherEnvelope.from_dict(msgspec.to_builtins(envelope))
        other.verify([_their_key(number) for number in numbers], threshold)
        there = other.payload_type == CONFIG_TYPE
    except (VerificationError, ValueError):
        there = False
    return here, there


@example(b"", [1], [1], 1, "nothing", 0)
@example(b"{}", [1, 2], [1, 2], 2, "repeat", 0)
@example(b"{}", [1, 9], [1, 2], 1, "nothing", 0)
@given(
    st.binary(max_size=120),
    st.lists(st.sampled_from([1, 2, 3, 9]), max_size=4),
    st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3, unique=True),
    st.integers(1, 3),
    st.sampled_from(["nothing", "payload", "type", "sig", "name", "repeat", "other-r-s"]),
    st.integers(0, 10_000),
)
def test_envelopes_have_the_same_verdict(  # the arguments are what an envelope is made of
    payload: bytes, signers: list[int], trusted: list[int], threshold: int, change: str, place: int
) -> None:
    with repeatable():
        signed = envelopes.sign(CONFIG_TYPE, payload, [key(number) for number in signers])
    envelope = _spoil(signed, change, place)
    # More keys are needed than there are: they raise, we refuse.
    here, there = _verdicts(envelope, trusted, threshold)
    event(f"{change}: ours {here}, theirs {there}")
    counts = {signing.thumbprint(key(number).public_key()) for number in trusted}
    has_strangers = any(one.keyid not in counts for one in envelope.signatures)
    is_spoiled = change in {"sig", "name"}
    assert here == there or (there and (has_strangers or is_spoiled))


def _spoil(envelope: Envelope, change: str, place: int) -> Envelope:
    signatures = list(envelope.signatures)
    if change == "payload":
        raw = envelopes.payload_of(envelope) + b"x"
        return msgspec.structs.replace(envelope, payload=base64.b64encode(raw).decode())
    if change == "type":
        return msgspec.structs.replace(envelope, payload_type=ROOT_TYPE)
    if not signatures or change == "nothing":
        return envelope
    at = place % len(signatures)
    one = signatures[at]
    raw = base64.b64decode(one.sig)
    if change == "sig":
        raw = raw[:-1] + bytes([raw[-1] ^ 1])
        signatures[at] = Signature(one.keyid, base64.b64encode(raw).decode())
    elif change == "name":
        signatures[at] = Signature(signing.thumbprint(key(9).public_key()), one.sig)
    elif change == "repeat":
        signatures.append(one)
    else:
        r, s = decode_dss_signature(raw)
        signatures[at] = Signature(one.keyid, base64.b64encode(encode_dss_signature(r, N - s)).decode())
    return msgspec.structs.replace(envelope, signatures=signatures)


def test_the_keys_are_of_the_curve_whose_order_is_used_here() -> None:
    numbers = key(1).private_numbers()
    assert 0 < numbers.private_value < N
    der = key(1).public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert bytes.fromhex("2a8648ce3d030107") in der  # prime256v1
