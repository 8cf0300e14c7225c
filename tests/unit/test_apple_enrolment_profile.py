"""The enrolment profile: right by Apple's schema, and what may change in it when it is sent again."""

import plistlib
import re
from dataclasses import replace
from typing import Any

import pytest

from fleet.channels.apple.enrolment_profile import ACCESS_RIGHTS, IdentityRequest, Right, Server, enrolment_profile
from tests.apple_schema import needs_schema, profile_faults

SERVER = Server(
    identifier="no.kommune.nettbrett.enrolment",
    organisation="Lillevik kommune",
    topic="com.apple.mgmt.External.6f2c2a0e",
    server_url="https://nettbrett.no/apple/mdm",
    check_in_url="https://nettbrett.no/apple/checkin",
)
IDENTITY = IdentityRequest("https://nettbrett.no/apple/scep", "nettbrett", "første", "tablet-17")
WITH_ROOT = replace(SERVER, root_certificate=b"0\x82-not-read")


def profile(server: Server = SERVER, identity: IdentityRequest = IDENTITY) -> dict[str, Any]:
    found: dict[str, Any] = plistlib.loads(enrolment_profile(server, identity))
    return found


def payload(of: dict[str, Any], payload_type: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in of["PayloadContent"] if one["PayloadType"] == payload_type)
    return found


@needs_schema
@pytest.mark.parametrize("server", [SERVER, WITH_ROOT])
@pytest.mark.parametrize("identity", [IDENTITY, replace(IDENTITY, fingerprint=b"\x01" * 32)])
def test_an_enrolment_profile_is_right_by_the_schema(server: Server, identity: IdentityRequest) -> None:
    assert profile_faults(profile(server, identity)) == []


@needs_schema
def test_the_judge_finds_faults_of_an_enrolment_profile() -> None:
    sound = profile()
    payload(sound, "com.apple.mdm")["ServerURL"] = "http://nettbrett.no"
    content = payload(sound, "com.apple.security.scep")["PayloadContent"]
    content["Keysize"] = 2000
    content["Subject"][0][0].append("more")
    assert len(profile_faults(sound)) == 3


def test_messages_are_signed_and_leaving_is_told() -> None:
    mdm = payload(profile(), "com.apple.mdm")
    assert (mdm["SignMessage"], mdm["CheckOutWhenRemoved"]) == (True, True)
    assert mdm["IdentityCertificateUUID"] == payload(profile(), "com.apple.security.scep")["PayloadUUID"]
    assert (mdm["Topic"], mdm["ServerURL"], mdm["CheckInURL"]) == (SERVER.topic, SERVER.server_url, SERVER.check_in_url)
    assert mdm["ServerCapabilities"] == ["com.apple.mdm.per-user-connections"]


def test_rights_do_not_include_network_information_or_provisioning() -> None:
    assert ACCESS_RIGHTS == 8191 - 32 - 64 - 128 - 512
    assert payload(profile(), "com.apple.mdm")["AccessRights"] == ACCESS_RIGHTS
    assert Right(ACCESS_RIGHTS) & Right.INSPECT_PROFILES  # Source: 2 needs 1


def test_the_key_is_long_enough_and_asked_for_with_the_challenge() -> None:
    content = payload(profile(), "com.apple.security.scep")["PayloadContent"]
    assert content == {
        "URL": IDENTITY.url,
        "Name": IDENTITY.name,
        "Subject": [[["O", "Lillevik kommune"]], [["CN", "tablet-17"]]],
        "Challenge": "første",
        "Keysize": 2048,
        "Key Type": "RSA",
        "Key Usage": 5,
        "Retries": 3,
        "RetryDelay": 10,
    }


def test_a_root_is_in_it_only_where_the_server_has_one_of_its_own() -> None:
    assert payload(profile(WITH_ROOT), "com.apple.security.root")["PayloadContent"] == WITH_ROOT.root_certificate
    assert [one["PayloadType"] for one in profile()["PayloadContent"]] == ["com.apple.mdm", "com.apple.security.scep"]


def test_the_same_profile_has_the_same_bytes() -> None:
    assert enrolment_profile(WITH_ROOT, IDENTITY) == enrolment_profile(WITH_ROOT, IDENTITY)


def test_a_renewal_changes_the_identity_and_nothing_else() -> None:
    first, again = profile(WITH_ROOT), profile(WITH_ROOT, replace(IDENTITY, challenge="andre"))
    assert {key for key in first if first[key] != again[key]} == {"PayloadContent"}
    changed = {
        (one["PayloadType"], key)
        for one, other in zip(first["PayloadContent"], again["PayloadContent"], strict=True)
        for key in one
        if one[key] != other[key]
    }
    assert changed == {
        ("com.apple.mdm", "IdentityCertificateUUID"),
        ("com.apple.security.scep", "PayloadUUID"),
        ("com.apple.security.scep", "PayloadContent"),
    }


def test_the_challenge_stands_in_no_name_and_no_repr() -> None:
    identity = replace(IDENTITY, challenge="hemmelig")
    text = enrolment_profile(SERVER, identity).decode()
    assert len(re.findall("hemmelig", text)) == 1
    assert "hemmelig" not in repr(identity)
