"""Signed documents: every flipped byte refused, roles kept apart, nothing rolled back, and an independent oracle."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope as OracleEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import Key, SSlibKey

from agent_protocol import envelopes, signing
from agent_protocol.envelopes import TrustedRoot
from agent_protocol.errors import MalformedError, UntrustedError
from agent_protocol.messages import (
    CONFIG_TYPE,
    ROOT_TYPE,
    ConfigDocument,
    Envelope,
    Order,
    Role,
    RoleKeys,
    RootDocument,
    ScheduleEntry,
    Signature,
    decode,
    encode,
)
from tests.unit.protocol.keys import key

NOW = datetime(2026, 9, 14, 8, 15, tzinfo=UTC)
ROOTS, ASSIGNMENT, STRANGER = (1, 2, 3), 4, 9
TABLET = signing.thumbprint(key(5).public_key())


def name(number: int) -> str:
    return signing.thumbprint(key(number).public_key())


def root_document(**changes: Any) -> RootDocument:
    whole: dict[str, Any] = {
        "spec": "1.0", "version": 1, "issued_at": NOW, "expires_at": NOW + timedelta(days=365),
        "keys": {name(number): signing.to_jwk(key(number).public_key()) for number in (*ROOTS, ASSIGNMENT)},
        "roles": {
            Role.ROOT: RoleKeys([name(number) for number in ROOTS], 2),
            Role.ASSIGNMENT: RoleKeys([name(ASSIGNMENT)], 1),
            Role.DESTRUCTIVE: RoleKeys([], 2),
        },
    }  # fmt: skip
    return RootDocument(**(whole | changes))


def root_envelope(*signers: int, **changes: Any) -> Envelope:
    return envelopes.sign(ROOT_TYPE, encode(root_document(**changes)), [key(number) for number in signers or ROOTS])


def trusted() -> TrustedRoot:
    return TrustedRoot.pin(root_envelope(), now=NOW)


def config(**changes: Any) -> ConfigDocument:
    whole: dict[str, Any] = {
        "spec": "1.0", "role": Role.ASSIGNMENT, "device_id": "tablet-1", "key_thumbprint": TABLET, "version": 5,
        "issued_at": NOW, "expires_at": NOW + timedelta(days=21), "min_agent": "1.0",
        "schedule": [ScheduleEntry(None, None, "a" * 64, 2)], "orders": [], "report_s": 900,
    }  # fmt: skip
    return ConfigDocument(**(whole | changes))


def sealed(document: ConfigDocument, *signers: int) -> Envelope:
    return envelopes.sign(CONFIG_TYPE, encode(document), [key(number) for number in signers or (ASSIGNMENT,)])


def reason(envelope: Envelope, *, newest: ConfigDocument | None = None) -> str:
    with pytest.raises(UntrustedError) as refusal:
        trusted().accept_config(envelope, device_id="tablet-1", key_thumbprint=TABLET, newest=newest)
    return refusal.value.reason


def accepted(envelope: Envelope, newest: ConfigDocument | None = None) -> ConfigDocument:
    return trusted().accept_config(envelope, device_id="tablet-1", key_thumbprint=TABLET, newest=newest)


def test_a_sound_configuration_is_accepted() -> None:
    assert accepted(sealed(config())) == config()


def test_every_flipped_byte_of_an_envelope_is_refused() -> None:
    whole = encode(sealed(config()))
    for place in range(len(whole)):
        for bit in (1, 4, 32):
            changed = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
            with pytest.raises((UntrustedError, MalformedError)):
                accepted(decode(Envelope, changed))


def test_a_signature_of_another_key_or_role_does_not_count() -> None:
    assert reason(sealed(config(), STRANGER)) == "forged"
    assert reason(sealed(config(), ROOTS[0])) == "forged"
    assert reason(sealed(config(), ASSIGNMENT, STRANGER)) == "forged"
    assert reason(Envelope(CONFIG_TYPE, sealed(config()).payload, [])) == "forged"
    assert reason(envelopes.sign(ROOT_TYPE, encode(config()), [key(ASSIGNMENT)])) == "forged"
    renamed = [Signature(name(ASSIGNMENT), one.sig) for one in sealed(config(), STRANGER).signatures]
    assert reason(msgspec.structs.replace(sealed(config()), signatures=renamed)) == "forged"


def test_a_document_of_another_role_tablet_or_key_is_refused() -> None:
    assert reason(sealed(config(role=Role.CATALOGUE))) == "forged"
    assert reason(sealed(config(device_id="tablet-2"))) == "foreign"
    assert reason(sealed(config(key_thumbprint="x"))) == "foreign"


def test_an_older_configuration_is_refused_and_a_renewed_one_accepted() -> None:
    newest = config(version=6, issued_at=NOW)
    assert reason(sealed(config(version=5, issued_at=NOW + timedelta(days=1))), newest=newest) == "rolled-back"
    assert reason(sealed(config(version=6, issued_at=NOW - timedelta(seconds=1))), newest=newest) == "rolled-back"
    renewed = config(version=6, issued_at=NOW + timedelta(days=7))
    assert accepted(sealed(renewed), newest) == renewed
    # A later version may carry an earlier clock: the server's clock was set back, its counting was not.
    later = config(version=7, issued_at=NOW - timedelta(days=1))
    assert accepted(sealed(later), newest) == later


def test_a_schedule_with_gaps_or_ends_is_refused() -> None:
    noon = NOW + timedelta(hours=4)
    entry = ScheduleEntry
    for schedule in (
        [entry(NOW, None, "a" * 64, 2)],
        [entry(None, NOW, "a" * 64, 2)],
        [entry(None, NOW, "a" * 64, 2), entry(noon, None, "b" * 64, 2)],
        [entry(None, None, "a" * 64, 2), entry(None, None, "b" * 64, 2)],
        [entry(None, noon, "a" * 64, 2), entry(noon, NOW, "b" * 64, 2), entry(NOW, None, "b" * 64, 2)],
    ):
        assert reason(sealed(config(schedule=schedule))) == "malformed"


@pytest.mark.parametrize(
    "payload", ["!", "YQ", "YR==", base64.b64encode(b"{}").decode(), base64.b64encode(b"\xff").decode()]
)
def test_a_payload_that_is_none_is_refused(payload: str) -> None:
    signed = envelopes.sign(
        CONFIG_TYPE, base64.b64decode(payload + "==") if payload not in {"!", "YQ", "YR=="} else b"a", [key(4)]
    )
    assert reason(Envelope(CONFIG_TYPE, payload, signed.signatures)) in {"malformed", "forged"}


def test_the_root_is_pinned_only_with_enough_of_its_own_keys() -> None:
    assert trusted().document == root_document()
    assert TrustedRoot.pin(root_envelope(1, 3), now=NOW).document.version == 1
    for envelope in (root_envelope(1), root_envelope(1, STRANGER), root_envelope(1, 1)):
        with pytest.raises(UntrustedError, match="forged"):
            TrustedRoot.pin(envelope, now=NOW)
    with pytest.raises(UntrustedError, match="expired"):
        TrustedRoot.pin(root_envelope(), now=NOW + timedelta(days=366))


def test_a_root_that_contradicts_itself_is_refused() -> None:
    jwk = signing.to_jwk(key(1).public_key())
    roles = root_document().roles
    off_curve = msgspec.structs.replace(jwk, y="A" * 43)
    broken: list[dict[str, Any]] = [
        {"keys": {}},
        {"keys": dict.fromkeys(roles[Role.ROOT].keyids, jwk)},
        {
            "keys": root_document().keys | {signing.thumbprint(off_curve): off_curve},
            "roles": {Role.ROOT: RoleKeys([signing.thumbprint(off_curve)], 1)},
        },
        {"roles": {}},
    ]
    for changes in broken:
        with pytest.raises(UntrustedError, match=r"malformed|forged"):
            TrustedRoot.pin(root_envelope(**changes), now=NOW)


def test_privileged_orders_need_keys_that_the_root_names_and_a_fresh_document() -> None:
    signers = [name(7), name(8)]
    keys = root_document().keys | {name(number): signing.to_jwk(key(number).public_key()) for number in (7, 8)}
    roles = root_document().roles | {Role.DESTRUCTIVE: RoleKeys(signers, 2)}
    able = TrustedRoot.pin(root_envelope(keys=keys, roles=roles), now=NOW)

    def may(root: TrustedRoot, signed_by: list[str], *, privileged: bool = True, now: datetime = NOW) -> bool:
        return envelopes.may_obey(config(), privileged=privileged, signed_by=signed_by, root=root, now=now)

    assert may(trusted(), [], privileged=False)
    assert may(trusted(), [], privileged=False, now=NOW + timedelta(days=400))
    assert not may(trusted(), signers)
    assert may(able, signers)
    assert not may(able, signers[:1])
    assert not may(able, [signers[0], signers[0]])
    assert not may(able, [signers[0], name(ASSIGNMENT)])
    assert not may(able, signers, now=NOW + timedelta(days=22))
    without = {role: held for role, held in roles.items() if role != Role.DESTRUCTIVE}
    assert not may(TrustedRoot.pin(root_envelope(keys=keys, roles=without), now=NOW), signers)
    nameless = TrustedRoot.pin(root_envelope(keys=keys, roles={**roles, Role.DESTRUCTIVE: RoleKeys(["x"], 1)}), now=NOW)
    assert not may(nameless, ["x"])


def test_orders_travel_inside_the_signature() -> None:
    order = Order("o1", "message", {"text": "Hei"}, NOW)
    assert accepted(sealed(config(orders=[order]))).orders == [order]


@given(st.binary(max_size=200), st.sampled_from(["application/x", CONFIG_TYPE]))
@settings(max_examples=50)
def test_an_independent_library_agrees(payload: bytes, kind: str) -> None:
    ours = envelopes.sign(kind, payload, [key(1), key(2)])
    told = msgspec.to_builtins(ours)
    oracle = OracleEnvelope.from_dict(
        {**told, "signatures": [{"keyid": s["keyid"], "sig": s["sig"]} for s in told["signatures"]]}
    )
    keys: list[Key] = [SSlibKey.from_crypto(key(number).public_key(), keyid=name(number)) for number in (1, 2)]
    assert len(oracle.verify(keys, 2)) == 2
    with pytest.raises(VerificationError):
        oracle.verify([SSlibKey.from_crypto(key(3).public_key(), keyid=name(1))], 1)
    public = {name(number): key(number).public_key() for number in (1, 2)}
    assert envelopes.verify(ours, kind, public, 2) == payload
