"""Commands and what is read of their answers: right by Apple's schema, and nothing about persons."""

import hashlib
import plistlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.channels.apple import answers, commands, plists
from fleet.channels.apple.answers import (
    AppState,
    DeviceInformation,
    KnownCertificate,
    Location,
    SecurityInformation,
    app_state,
)
from fleet.channels.apple.commands import AppSource, Command, ReturnToService, UpdateAction
from fleet.channels.apple.enrolment_profile import ACCESS_RIGHTS
from tests.apple_schema import COMMANDS, DECLARATIVE, answer_faults, command_faults, needs_schema, read

ALL: dict[str, Command] = {
    "lock": commands.device_lock(),
    "lock with a message": commands.device_lock("Legg fra deg nettbrettet"),
    "lost mode": commands.enable_lost_mode("Lever på skolen"),
    "lost mode with all": commands.enable_lost_mode("Lever på skolen", phone_number="+47 55 00 00 00", footnote="Takk"),
    "found": commands.disable_lost_mode(),
    "locate": commands.device_location(),
    "play sound": commands.play_lost_mode_sound(),
    "restart": commands.restart(),
    "shut down": commands.shut_down(),
    "erase": commands.erase(),
    "erase and come back": commands.erase(ReturnToService(b"wifi", b"enrolment")),
    "erase and come back by cable and ADE": commands.erase(ReturnToService(None, None)),
    "clear passcode": commands.clear_passcode(b"token"),
    "settings": commands.settings(name="8B-17", wallpaper=b"\x89PNG", time_zone="Europe/Oslo"),
    "name": commands.settings(name="8B-17"),
    **{f"update {action}": commands.schedule_os_update("17.6.1", action) for action in UpdateAction},
    "device information": commands.device_information(),
    "security": commands.security_info(),
    "apps": commands.installed_application_list(),
    "our apps": commands.managed_application_list(),
    "some of our apps": commands.managed_application_list(["no.a.b"]),
    "certificates": commands.certificate_list(),
    "install profile": commands.install_profile(b"<plist/>"),
    "remove profile": commands.remove_profile("no.a.b"),
    "install from store": commands.install_application(AppSource(361309726)),
    "install without licence": commands.install_application(
        AppSource(361309726, is_licensed=False), is_removable=False
    ),
    "install our own": commands.install_application(AppSource(manifest_url="https://nettbrett.no/app.plist")),
    "remove app": commands.remove_application("no.a.b"),
    "declarations": commands.declarative_management(),
    "declarations with tokens": commands.declarative_management(b"{}"),
    "configured": commands.device_configured(),
}


@needs_schema
@pytest.mark.parametrize("command", ALL.values(), ids=ALL.keys())
def test_every_command_is_right_by_the_schema_and_within_our_rights(command: Command) -> None:
    assert command_faults(command, rights=ACCESS_RIGHTS) == []


def test_every_command_there_is_is_judged() -> None:
    makers = [
        name
        for name, maker in vars(commands).items()
        if callable(maker) and getattr(maker, "__annotations__", {}).get("return") is commands.Command
    ]
    made = {command["RequestType"] for command in ALL.values()}
    assert len(made) == len([name for name in makers if not name.startswith("_")]) > 20


@pytest.mark.parametrize("command", ALL.values(), ids=ALL.keys())
def test_every_command_can_be_written_as_a_property_list(command: Command) -> None:
    assert plistlib.loads(plists.write({"Command": command}))["Command"] == command


@needs_schema
@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ({"RequestType": "Camel"}, "no such command"),
        ({"RequestType": "DeviceLock", "PIN": "123456"}, "not on iPadOS"),
        ({"RequestType": "ClearPasscode"}, "missing"),
        ({"RequestType": "ClearPasscode", "UnlockToken": 1}, "no <data>"),
        ({"RequestType": "ScheduleOSUpdate", "Updates": [{"InstallAction": "Now"}]}, "not one of"),
        ({"RequestType": "DeviceInformation", "Queries": ["Shoe"]}, "no such name"),
        ({"RequestType": "DeviceInformation", "Queries": ["IMEI"]}, "deprecated"),
        ({"RequestType": "Settings", "Settings": [{"Item": "Shoe"}]}, "no such item"),
        ({"RequestType": "Settings", "Settings": [{"Item": "DeviceName"}]}, "missing"),
        ({"RequestType": "InstallApplication", "ManagementFlags": 2}, "not one of"),
    ],
)
def test_the_judge_finds_faults_of_commands(command: Command, fault: str) -> None:
    assert [one for one in command_faults(command, rights=ACCESS_RIGHTS) if fault in one]


@needs_schema
def test_the_judge_knows_our_rights() -> None:
    assert command_faults(commands.erase(), rights=ACCESS_RIGHTS & ~8) == ["EraseDevice: needs AllowDeviceErase"]


def test_an_ipad_is_asked_nothing_about_persons_or_networks() -> None:
    asked = " ".join([*commands.QUERIES, *commands.APP_ITEMS]).lower()
    for word in (
        "phone",
        "imei",
        "meid",
        "iccid",
        "mac",
        "itunes",
        "account",
        "carrier",
        "name ",
        "subscriber",
        "user",
    ):
        assert word not in asked.replace("productname", "")


@pytest.mark.parametrize("source", [{}, {"store_id": 1, "manifest_url": "https://a.no"}])
def test_an_app_comes_from_exactly_one_place(source: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either"):
        AppSource(**source)


def test_an_app_of_the_store_uses_its_licence_where_there_is_one() -> None:
    licensed = commands.install_application(AppSource(1))
    assert (licensed["iTunesStoreID"], licensed["Options"]) == (1, {"PurchaseMethod": 1})
    assert commands.install_application(AppSource(1, is_licensed=False))["Options"] == {"PurchaseMethod": 0}
    own = commands.install_application(AppSource(manifest_url="https://a.no"))
    assert "Options" not in own
    assert "iTunesStoreID" not in own


def test_what_must_not_be_logged_is_in_no_repr() -> None:
    assert "hemmelig" not in repr(ReturnToService(b"hemmelig", b"hemmelig"))


# --- answers

INFORMATION = {
    "QueryResponses": {
        "OSVersion": "17.6.1",
        "ProductName": "iPad13,18",
        "DeviceCapacity": 64.0,
        "AvailableDeviceCapacity": 12.5,
        "BatteryLevel": 0.805,
        "IsSupervised": True,
        "IsMDMLostModeEnabled": False,
        "AwaitingConfiguration": False,
    }
}
SECURITY = {
    "SecurityInfo": {
        "HardwareEncryptionCaps": 3,
        "PasscodePresent": True,
        "PasscodeCompliant": True,
        "PasscodeCompliantWithProfiles": False,
    }
}
APPS = {
    "InstalledApplicationList": [
        {"Identifier": "no.b", "ShortVersion": "2.1", "Version": "210", "Installing": False, "Name": "B"},
        {"Identifier": "no.a", "Version": "7"},
        {"Identifier": "no.c", "Installing": True},
        {"Identifier": "no.d"},
    ]
}
MANAGED = {"ManagedApplicationList": {"no.a": {"Status": "Managed"}, "no.b": {"Status": "UserRejected"}}}
CERTIFICATES = {"CertificateList": [{"CommonName": "Kari", "IsIdentity": True, "Data": b"der"}]}
LOCATION = {
    "Latitude": 60.39,
    "Longitude": 5.32,
    "HorizontalAccuracy": 65.0,
    "VerticalAccuracy": -1.0,
    "Altitude": 12.0,
    "Speed": -1.0,
    "Course": -1.0,
    "Timestamp": "2026-09-14T08:15:00Z",
}
UPDATES = {"UpdateResults": [{"ProductKey": "x", "InstallAction": "InstallASAP", "Status": "Downloading"}]}


@needs_schema
@pytest.mark.parametrize(
    ("request_type", "answer"),
    [
        ("DeviceInformation", INFORMATION),
        ("SecurityInfo", SECURITY),
        ("InstalledApplicationList", APPS),
        ("CertificateList", CERTIFICATES),
        ("DeviceLocation", LOCATION),
        ("ScheduleOSUpdate", UPDATES),
    ],
)
def test_the_answers_of_these_tests_are_ones_an_ipad_could_give(request_type: str, answer: Mapping[str, Any]) -> None:
    assert answer_faults(request_type, answer) == []


def test_every_field_that_is_asked_for_is_read() -> None:
    told = INFORMATION["QueryResponses"]
    assert set(told) == set(commands.QUERIES)
    for name in told:
        one = answers.read_device_information({"QueryResponses": {name: told[name]}})
        assert one != DeviceInformation(), name


def test_device_information_is_read_in_our_units() -> None:
    assert answers.read_device_information(INFORMATION) == DeviceInformation(
        os_version="17.6.1",
        model="iPad13,18",
        storage_total_bytes=64_000_000_000,
        storage_free_bytes=12_500_000_000,
        battery_percent=80,
        is_supervised=True,
        is_lost=False,
        awaits_configuration=False,
    )


@pytest.mark.parametrize("level", [-1.0, 1.5, True, "0.5", float("nan"), float("inf"), 10**400])
def test_a_battery_whose_charge_is_not_known_has_none(level: Any) -> None:
    found = answers.read_device_information({"QueryResponses": {"BatteryLevel": level, "DeviceCapacity": level}})
    assert found.battery_percent is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (SECURITY, SecurityInformation(True, False, True)),
        ({"SecurityInfo": {"PasscodePresent": False, "PasscodeCompliant": True}}, SecurityInformation(False, True)),
        ({}, SecurityInformation()),
    ],
)
def test_security_says_whether_the_passcode_is_as_profiles_want_it(told: Any, expected: SecurityInformation) -> None:
    assert answers.read_security_info(told) == expected


def test_installed_apps_are_those_that_have_arrived_in_order() -> None:
    assert answers.read_installed_applications(APPS) == [
        {"id": "no.a", "version": "7"},
        {"id": "no.b", "version": "2.1"},
        {"id": "no.d", "version": ""},
    ]


def test_no_more_apps_are_kept_than_a_report_may_hold() -> None:
    many = {"InstalledApplicationList": [{"Identifier": f"no.a{number}"} for number in range(answers.MAX_APPS + 5)]}
    assert len(answers.read_installed_applications(many)) == answers.MAX_APPS


@needs_schema
def test_every_word_for_an_apps_state_is_known_in_both_spellings() -> None:
    managed = read(COMMANDS / "application.managed.list.yaml")["responsekeys"][0]["subkeys"][0]["subkeys"]
    install = read(COMMANDS / "application.install.yaml")["responsekeys"]
    status = read(DECLARATIVE / "status" / "mdm.app.yaml")["payloadkeys"][0]["subkeys"][0]["subkeys"]
    words = {
        word
        for entries in (managed, install, status)
        for entry in entries
        if entry["key"] in {"Status", "State", "state"}
        for word in entry["rangelist"]
    }
    assert len(words) == 2 * len(answers._APP_STATES)
    assert {word for word in words if app_state(word) is AppState.UNKNOWN} == {"Unknown", "unknown"}


@pytest.mark.parametrize("word", ["Hopping", "", None, 7, ["Managed"]])
def test_a_word_that_is_not_known_is_unknown(word: Any) -> None:
    assert app_state(word) is AppState.UNKNOWN


def test_managed_apps_are_read_by_id() -> None:
    assert answers.read_managed_applications(MANAGED) == {"no.a": AppState.INSTALLED, "no.b": AppState.REFUSED}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"Identifier": "no.a", "State": "Installing"}, (AppState.COMING, None)),
        ({"RejectionReason": "NotSupported"}, (AppState.FAILED, "NotSupported")),
        ({"State": "Queued", "RejectionReason": "AppAlreadyQueued"}, (AppState.COMING, "AppAlreadyQueued")),
        ({}, (AppState.UNKNOWN, None)),
    ],
)
def test_an_installation_says_how_far_it_is_and_why_not(told: Any, expected: tuple[AppState, str | None]) -> None:
    assert answers.read_install(told) == expected


def test_certificates_are_known_by_their_digest_and_not_by_a_name() -> None:
    (found,) = answers.read_certificates(CERTIFICATES)
    assert found == KnownCertificate(hashlib.sha256(b"der").hexdigest(), is_identity=True)
    assert "Kari" not in repr(found)


def test_a_location_has_its_accuracy_and_its_instant() -> None:
    assert answers.read_location(LOCATION) == Location(60.39, 5.32, 65.0, datetime(2026, 9, 14, 8, 15, tzinfo=UTC))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"HorizontalAccuracy": -1.0}, Location(60.39, 5.32, None, datetime(2026, 9, 14, 8, 15, tzinfo=UTC))),
        ({"Timestamp": "2026-09-14T08:15:00"}, Location(60.39, 5.32, 65.0)),
        ({"Timestamp": "in a while"}, Location(60.39, 5.32, 65.0)),
        ({"Timestamp": "9999-12-31T23:59:59Z"}, Location(60.39, 5.32, 65.0)),
        ({"Timestamp": datetime(1, 1, 1, tzinfo=UTC)}, Location(60.39, 5.32, 65.0)),
        ({"Latitude": 91.0}, None),
        ({"Longitude": None}, None),
    ],
)
def test_a_location_without_some_of_it_is_told_as_far_as_it_goes(change: Any, expected: Location | None) -> None:
    assert answers.read_location({**LOCATION, **change}) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([{"Status": "Acknowledged"}, {"Status": "Error", "ErrorChain": []}], (True, False)),
        ({"Status": "Acknowledged"}, (True,)),
        (None, ()),
    ],
)
def test_each_setting_says_whether_it_was_set(told: Any, expected: tuple[bool, ...]) -> None:
    assert answers.read_settings({"Settings": told}) == expected


def test_updates_say_how_far_they_are() -> None:
    assert answers.read_update(UPDATES) == ("Downloading",)


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Identifier", "Status", "Data", "no.a"]), inner)
    ),
    max_leaves=6,
)
_READERS: list[Callable[[Mapping[str, Any]], object]] = [
    answers.read_certificates,
    answers.read_device_information,
    answers.read_install,
    answers.read_installed_applications,
    answers.read_location,
    answers.read_managed_applications,
    answers.read_security_info,
    answers.read_settings,
    answers.read_update,
]


@given(
    st.dictionaries(
        st.sampled_from(
            sorted({*INFORMATION, *SECURITY, *APPS, *MANAGED, *CERTIFICATES, *LOCATION, *UPDATES, "Settings", "State"})
        ),
        _ANYTHING | st.dictionaries(st.sampled_from(commands.QUERIES), _ANYTHING),
    )
)
def test_an_answer_of_any_form_is_read_as_far_as_it_goes(answer: dict[str, Any]) -> None:
    for reader in _READERS:
        reader(answer)
