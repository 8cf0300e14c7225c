"""Effective profiles as declarations, and what iPads report of them."""

import json
import plistlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.channels.apple import declarations as ddm
from fleet.channels.apple.answers import AppState
from fleet.channels.apple.declarations import Capabilities, DeclarationSet, UpdateDeadline, declarations
from fleet.channels.apple.payloads import CARRIED_BY, KEYS, Means
from fleet.channels.apple.status import (
    DeclarationState,
    ManagedApp,
    Outcome,
    Status,
    StatusError,
    UpdateState,
    Validity,
    merged,
    outcome,
    read_status,
)
from profiles.layering import Layer, effective
from tests.apple_schema import (
    declaration_faults,
    needs_schema,
    profile_faults,
    protocol_faults,
    status_faults,
    status_items,
)
from tests.apple_settings import whole
from tests.conftest import NOW
from tests.unit.profiles import strategies

NAME = "no.kommune.nettbrett"
OF_IOS_18 = Capabilities(
    frozenset({ddm.LEGACY, ddm.PASSCODE, ddm.SUBSCRIPTIONS, ddm.UPDATE_SETTINGS, ddm.UPDATE_DEADLINE}),
    frozenset(ddm.STATUS_ITEMS),
)
OF_IOS_15 = Capabilities(frozenset({ddm.LEGACY, ddm.SUBSCRIPTIONS}), frozenset({"management.declarations"}))
DEADLINE = UpdateDeadline("18.1", datetime(2026, 9, 18, 16, tzinfo=ZoneInfo("Europe/Oslo")))
CAMERA, PASSCODE = {"camera.allowed": False}, {"passcode.required": True, "passcode.min_length": 6}


def declared(
    settings: Mapping[str, Any],
    capabilities: Capabilities | None = None,
    update: UpdateDeadline | None = None,
    profile: str = "a" * 64,
) -> DeclarationSet:
    return declarations(
        settings,
        identifier=NAME,
        organisation="Lillevik kommune",
        profile=profile,
        url_of="https://nettbrett.no/apple/profiles/{}".format,
        capabilities=capabilities,
        update=update,
    )


def kinds(of: DeclarationSet) -> dict[str, str]:
    return {one.identifier: one.type for one in of.declarations}


def payload(of: DeclarationSet, identifier: str) -> Any:
    return next(one.payload for one in of.declarations if one.identifier == identifier)


def faults(of: DeclarationSet) -> list[str]:
    """Return what Apple's schema says against a set, its profiles and its documents."""
    found = [fault for one in of.declarations for fault in declaration_faults(json.loads(one.body))]
    found += [fault for body in of.profiles.values() for fault in profile_faults(plistlib.loads(body))]
    found += protocol_faults("declarationitemsresponse", json.loads(ddm.items(of)))
    found += protocol_faults("tokensresponse", json.loads(ddm.tokens(of, NOW)))
    addresses = [one.payload["ProfileURL"] for one in of.declarations if one.type == ddm.LEGACY]
    return found + [address for address in addresses if not address.startswith("https://")]


@needs_schema
@given(strategies.layers(), st.sampled_from([None, OF_IOS_15, OF_IOS_18]), st.sampled_from([None, DEADLINE]))
def test_any_effective_profile_is_right_by_the_schema(
    layers: list[Layer], capabilities: Capabilities | None, update: UpdateDeadline | None
) -> None:
    assert faults(declared(effective(layers).settings, capabilities, update)) == []


@needs_schema
@pytest.mark.parametrize("capabilities", [None, OF_IOS_15, OF_IOS_18])
def test_all_settings_together_are_right_by_the_schema_and_carried(capabilities: Capabilities | None) -> None:
    wanted = {name for name, means in CARRIED_BY.items() if means in {Means.PROFILE, Means.DECLARATION}}
    for settings in whole():
        of = declared(settings, capabilities, DEADLINE)
        assert faults(of) == []
    carried = {key for one in of.declarations for key in one.keys}
    assert carried == wanted


@needs_schema
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"Type": "com.apple.none"}, "no such declaration"),
        ({"Identifier": "x" * 65}, "64 octets"),
        ({"Payload": {"StatusItems": [{"Name": 1}]}}, "no <string>"),
        ({"Payload": {}}, "missing"),
        ({"More": 1}, "no such key"),
    ],
)
def test_the_judge_finds_faults(change: dict[str, Any], fault: str) -> None:
    sound = json.loads(next(one.body for one in declared({}).declarations if one.identifier == "status"))
    assert declaration_faults(sound) == []
    assert [one for one in declaration_faults(sound | change) if fault in one]


@needs_schema
def test_what_ipads_are_asked_to_report_is_what_they_can() -> None:
    assert set(ddm.STATUS_ITEMS) <= status_items()


def test_the_activation_lists_exactly_the_configurations() -> None:
    of = declared(CAMERA | PASSCODE)
    configurations = [one.identifier for one in of.declarations if one.kind is ddm.Kind.CONFIGURATION]
    assert payload(of, "activation") == {"StandardConfigurations": configurations}
    assert configurations == ["passcode", "profile.restrictions", "status"]


def test_a_group_is_a_profile_named_by_its_digest() -> None:
    of = declared(CAMERA)
    (name,) = of.profiles
    assert payload(of, "profile.restrictions") == {"ProfileURL": f"https://nettbrett.no/apple/profiles/{name}"}
    found = plistlib.loads(of.profiles[name])
    assert found["PayloadIdentifier"] == f"{NAME}.restrictions"
    assert [one["allowCamera"] for one in found["PayloadContent"]] == [False]


def test_the_passcode_is_a_profile_where_the_ipad_takes_no_declaration_of_it() -> None:
    assert "passcode" in kinds(declared(PASSCODE, OF_IOS_18))
    older = kinds(declared(PASSCODE, OF_IOS_15))
    assert "passcode" not in older
    assert older["profile.passcode"] == ddm.LEGACY


def test_a_deferral_is_said_once_by_the_means_the_ipad_takes() -> None:
    deferral = {"os_update.deferral_days": 14, **CAMERA}
    newer, older = declared(deferral, OF_IOS_18), declared(deferral)
    assert payload(newer, "updates") == {"Deferrals": {"CombinedPeriodInDays": 14}}
    assert "updates" not in kinds(older)
    said = [b"enforcedSoftwareUpdateDelay" in body for of in (newer, older) for body in of.profiles.values()]
    assert said == [False, True]


def test_a_deadline_is_the_wall_clock_of_the_tablet() -> None:
    target = payload(declared({}, OF_IOS_18, DEADLINE), "update")
    assert target == {"TargetOSVersion": "18.1", "TargetLocalDateTime": "2026-09-18T16:00:00"}
    assert "update" not in kinds(declared({}, OF_IOS_15, DEADLINE))


def test_only_items_that_the_ipad_knows_are_asked_for() -> None:
    assert payload(declared({}, OF_IOS_15), "status") == {"StatusItems": [{"Name": "management.declarations"}]}
    assert len(payload(declared({}), "status")["StatusItems"]) == len(ddm.STATUS_ITEMS)


@given(strategies.settings(), st.randoms())
def test_the_same_settings_give_the_same_set_in_any_order(settings: dict[str, Any], random: Any) -> None:
    names = list(settings)
    random.shuffle(names)
    assert declared(settings) == declared({name: settings[name] for name in names})


def test_a_change_changes_the_tokens_of_what_it_changes_only() -> None:
    before, after = declared(CAMERA | PASSCODE), declared({**CAMERA, **PASSCODE, "passcode.min_length": 8})
    changed = {
        one.identifier
        for one, other in zip(before.declarations, after.declarations, strict=True)
        if one.token != other.token
    }
    assert changed == {"passcode"}
    assert before.token != after.token
    assert [one.identifier for one in before.declarations] == [one.identifier for one in after.declarations]


def test_profiles_that_look_alike_to_an_ipad_are_told_apart() -> None:
    assert declared({}, profile="a" * 64).token != declared({}, profile="b" * 64).token


def test_tokens_are_told_with_a_time_without_fraction_in_utc() -> None:
    at = datetime(2026, 11, 23, 23, 47, 19, 999_999, tzinfo=timezone(timedelta(hours=1)))
    of = declared({})
    told = json.loads(ddm.tokens(of, at))
    assert told == {"SyncTokens": {"Timestamp": "2026-11-23T22:47:19Z", "DeclarationsToken": of.token}}
    assert ddm.sync_tokens(of.token, at) == ddm.tokens(of, at)


def test_items_have_all_four_lists_and_the_token_of_tokens() -> None:
    of = declared(CAMERA)
    told = json.loads(ddm.items(of))
    assert told["DeclarationsToken"] == of.token
    assert {name: [one["Identifier"] for one in items] for name, items in told["Declarations"].items()} == {
        "Activations": ["activation"],
        "Configurations": ["profile.restrictions", "status"],
        "Assets": [],
        "Management": ["organisation", "properties"],
    }


def test_each_declaration_is_given_by_kind_and_identifier_and_no_other() -> None:
    of = declared(CAMERA)
    for one in of.declarations:
        told = json.loads(ddm.declaration(of, one.kind.value, one.identifier) or b"")
        assert (told["Identifier"], told["ServerToken"], told["Type"]) == (one.identifier, one.token, one.type)
        assert told.keys() == {"Type", "Identifier", "ServerToken", "Payload"}
    assert ddm.declaration(of, "configuration", "activation") is None
    assert ddm.declaration(of, "activation", "x") is None
    assert ddm.declaration(of, "x", "activation") is None


def test_a_snapshot_answers_every_endpoint_as_the_set_does() -> None:
    of = declared(CAMERA | PASSCODE)
    kept = ddm.documents(of)
    assert kept.pop("declaration-items").encode() == ddm.items(of)
    for endpoint, text in kept.items():
        _, kind, identifier = endpoint.split("/", 2)
        assert text.encode() == ddm.declaration(of, kind, identifier)
    assert len(kept) == len(of.declarations)


def test_every_group_has_an_identifier_that_is_short_enough() -> None:
    assert max(len(f"profile.{group}") for group in KEYS) <= 64


# --- what iPads report

ITEMS: dict[str, Any] = {
    "device.model.identifier": "iPad13,18",
    "device.operating-system.version": "17.6.1",
    "device.power.battery-health": "service-recommended",
    "passcode.is-present": True,
    "passcode.is-compliant": False,
    "mdm.app": [
        {"identifier": "no.a.b", "short-version": "2.1", "version": "210", "state": "managed", "name": "A"},
        {"identifier": "no.a.c", "_removed": True},
    ],
    "softwareupdate.install-state": "downloading",
    "softwareupdate.pending-version": {"os-version": "18.1", "build-version": "22B83"},
    "softwareupdate.failure-reason": {"count": 2, "reason": "no-space", "timestamp": "2026-09-14T08:00:00Z"},
    "management.client-capabilities": {
        "supported-versions": ["1.0.0"],
        "supported-features": {},
        "supported-payloads": {
            "declarations": {"configurations": [ddm.LEGACY, ddm.PASSCODE], "activations": ["x"]},
            "status-items": ["passcode.is-present"],
        },
    },
    "management.declarations": {
        "activations": [{"identifier": "activation", "server-token": "t1", "active": True, "valid": "valid"}],
        "configurations": [
            {
                "identifier": "passcode",
                "server-token": "t2",
                "active": False,
                "valid": "invalid",
                "reasons": [{"code": "Error.ConfigurationCannotBeApplied", "description": "-"}],
            }
        ],
        "assets": [],
        "management": [],
    },
}


def report(items: Mapping[str, Any], **more: Any) -> bytes:
    """Return a report of items, nested at their dots."""
    root: dict[str, Any] = {}
    for name, value in items.items():
        *path, last = name.split(".")
        place = root
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return json.dumps({"StatusItems": root, "Errors": [], **more}).encode()


@needs_schema
def test_the_report_of_these_tests_is_one_an_ipad_could_send() -> None:
    assert [fault for name, value in ITEMS.items() for fault in status_faults(name, value)] == []
    assert protocol_faults("statusreport", json.loads(report(ITEMS, FullReport=True))) == []


def test_a_report_is_read_whole() -> None:
    errors = [{"StatusItem": "mdm.app", "Reasons": [{"Code": "x"}]}]
    assert read_status(report(ITEMS, FullReport=True, Errors=errors, Later=1)) == Status(
        is_full=True,
        declarations={
            "activation": DeclarationState("t1", True, Validity.VALID),
            "passcode": DeclarationState("t2", False, Validity.INVALID, ("Error.ConfigurationCannotBeApplied",)),
        },
        os_version="17.6.1",
        model="iPad13,18",
        is_passcode_present=True,
        is_passcode_compliant=False,
        battery_health="service-recommended",
        apps=(ManagedApp("no.a.b", "2.1", AppState.INSTALLED), ManagedApp("no.a.c", is_removed=True)),
        update=UpdateState("downloading", "18.1", 2, "no-space"),
        capabilities=Capabilities(frozenset({ddm.LEGACY, ddm.PASSCODE}), frozenset({"passcode.is-present"})),
        missing=("mdm.app",),
    )


def test_every_item_that_is_asked_for_is_read() -> None:
    empty = read_status(report({}))
    assert empty == Status()
    for name in ddm.STATUS_ITEMS:
        assert read_status(report({name: ITEMS[name]})) != empty, name


def test_a_report_of_changes_keeps_what_it_does_not_speak_of() -> None:
    before = read_status(report(ITEMS, FullReport=True))
    change = {
        "passcode.is-compliant": True,
        "mdm.app": [{"identifier": "no.a.b", "_removed": True}, {"identifier": "no.a.d", "state": "installing"}],
        "softwareupdate.install-state": "none",
        "softwareupdate.pending-version": {"os-version": "", "build-version": ""},
    }
    after = merged(before, read_status(report(change)))
    assert after.is_passcode_compliant is True
    assert after.os_version == "17.6.1"
    assert after.declarations == before.declarations
    assert after.capabilities == before.capabilities
    assert after.apps == (ManagedApp("no.a.d", state=AppState.COMING),)
    assert after.update == UpdateState("none", "", 2, "no-space")


def test_a_full_report_takes_the_place_of_what_was_known() -> None:
    after = read_status(report({"passcode.is-present": False}, FullReport=True))
    assert merged(read_status(report(ITEMS)), after) == after


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"\xff", b'{"a":' * 100_000, b'{"a": NaN}', b"null"])
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(StatusError):
        read_status(data)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["identifier", "server-token", "os-version"]), inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(ITEMS)), _JSON), _JSON)
def test_items_of_any_form_are_read_or_passed_over(items: dict[str, Any], errors: Any) -> None:
    assert isinstance(read_status(report(items, Errors=errors)), Status)


@pytest.mark.parametrize("word", [{}, {"valid": "perhaps"}, {"valid": ["valid"]}, {"valid": "unknown"}])
def test_a_declaration_without_a_judgement_that_we_know_is_not_judged(word: dict[str, Any]) -> None:
    one = {"identifier": "status", "server-token": "t", "active": True, **word}
    status = read_status(report({"management.declarations": {"configurations": [one]}}))
    assert status.declarations == {"status": DeclarationState("t", True, Validity.UNKNOWN)}


def test_texts_of_a_report_are_short_and_printable() -> None:
    status = read_status(report({"device.model.identifier": "i\x00P\nad" + "x" * 1000}))
    assert status.model is not None
    assert status.model.startswith("iPad")
    assert len(status.model) <= 255


def states(of: DeclarationSet, **changes: DeclarationState) -> Status:
    """Return a status in which all of a set is valid and active, but for some."""
    known = {one.identifier: DeclarationState(one.token, True, Validity.VALID) for one in of.declarations}
    return Status(declarations={**known, **changes})


def test_a_set_is_applied_once_all_of_it_is_valid_and_active() -> None:
    of = declared(CAMERA | PASSCODE)
    assert outcome(of.carried, states(of)) == Outcome(True)
    assert outcome(of.carried, Status()) == Outcome(False)


@pytest.mark.parametrize(
    "state",
    [
        DeclarationState("older", True, Validity.VALID),
        DeclarationState("", True, Validity.UNKNOWN),
        DeclarationState("", False, Validity.VALID),
    ],
)
def test_a_set_is_not_applied_while_one_is_old_unjudged_or_not_in_force(state: DeclarationState) -> None:
    of = declared(PASSCODE)
    token = next(one.token for one in of.declarations if one.identifier == "passcode")
    found = DeclarationState(state.token or token, state.is_active, state.validity)
    assert outcome(of.carried, states(of, passcode=found)) == Outcome(False)


def test_a_refused_declaration_tells_its_settings_and_holds_nothing_up() -> None:
    of = declared(CAMERA | PASSCODE)
    token = next(one.token for one in of.declarations if one.identifier == "passcode")
    refused = DeclarationState(token, False, Validity.INVALID, ("Error.A", "Error.B"))
    failures = [{"key": key, "reason": "Error.A, Error.B"} for key in ("passcode.required", "passcode.min_length")]
    assert outcome(of.carried, states(of, passcode=refused)) == Outcome(True, tuple(failures))


def test_nothing_is_applied_where_the_activation_is_refused() -> None:
    of = declared(CAMERA)
    token = next(one.token for one in of.declarations if one.identifier == "activation")
    assert outcome(of.carried, states(of, activation=DeclarationState(token, False, Validity.INVALID))) == Outcome(
        False
    )
