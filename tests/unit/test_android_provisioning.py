"""What an Android tablet is told before it knows us: word for word as its set-up and the agent take it."""

import base64
import hashlib
import json
import shlex

import pytest

from fleet.android import provisioning
from fleet.android.provisioning import Agent, Network, Obstacle
from fleet.devices import codes
from fleet.devices.codes import TicketCodeError

URL = "https://nettbrett.example"
PACKAGE = b"not an agent, but bytes"
AGENT = Agent("6.36", f"{URL}/hw-files/t0ken/com.hmdm.launcher-00.apk", hashlib.sha256(PACKAGE).hexdigest())


@pytest.fixture
def code() -> str:
    return codes.make()


def test_the_set_up_is_told_what_the_vendors_own_server_would_tell_it(code: str) -> None:
    assert provisioning.extras(AGENT, URL, codes.shown(code), Network("skole", "wpa2", "meget hemmelig")) == {
        "android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME": "com.hmdm.launcher/com.hmdm.launcher.AdminReceiver",
        "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": f"{URL}/hw-files/t0ken/com.hmdm.launcher-00.apk",
        "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_CHECKSUM": base64.urlsafe_b64encode(hashlib.sha256(PACKAGE).digest()).decode().strip("="),
        "android.app.extra.PROVISIONING_LEAVE_ALL_SYSTEM_APPS_ENABLED": True,
        "android.app.extra.PROVISIONING_WIFI_SSID": "skole",
        "android.app.extra.PROVISIONING_WIFI_SECURITY_TYPE": "WPA",
        "android.app.extra.PROVISIONING_WIFI_PASSWORD": "meget hemmelig",
        "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE": {
            "com.hmdm.BASE_URL": URL,
            "com.hmdm.SERVER_PROJECT": f"hw-e{code.lower()}",
            "com.hmdm.DEVICE_ID_USE": "serial",
        },
    }  # fmt: skip


def test_without_a_network_nothing_is_said_of_one(code: str) -> None:
    assert "WIFI" not in provisioning.text(provisioning.extras(AGENT, URL, code))


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Network("gjest", "open", None), {"SSID": "gjest", "SECURITY_TYPE": "NONE"}),
        (Network("ny", "wpa3", "hemmelig1"), {"SSID": "ny", "SECURITY_TYPE": "WPA", "PASSWORD": "hemmelig1"}),
        (
            Network("skjult", "wpa2", "hemmelig1", is_hidden=True),
            {"SSID": "skjult", "SECURITY_TYPE": "WPA", "PASSWORD": "hemmelig1", "HIDDEN": True},
        ),
    ],
)
def test_a_network_is_told_by_how_it_is_joined(code: str, network: Network, told: dict[str, object]) -> None:
    start = "android.app.extra.PROVISIONING_WIFI_"
    extras = provisioning.extras(AGENT, URL, code, network)
    assert {name.removeprefix(start): said for name, said in extras.items() if name.startswith(start)} == told


def test_a_networks_password_is_in_no_log() -> None:
    assert "hemmelig1" not in repr(Network("skole", "wpa2", "hemmelig1"))


def test_only_networks_that_a_tablet_joins_by_itself_are_given() -> None:
    told = [
        {"ssid": "skole", "security": "wpa2", "password": "hemmelig1", "hidden": True},
        {"ssid": "ansatt", "security": "enterprise", "password": "hemmelig1"},
        {"ssid": "uten", "security": "wpa2"},
        {"ssid": "kort", "security": "wpa3", "password": "kort"},
        {"ssid": "ø" * 17, "security": "open"},
        {"ssid": "gjest", "security": "open", "password": "et levn"},
    ]
    assert provisioning.networks({"wifi.networks": told}) == [
        Network("skole", "wpa2", "hemmelig1", is_hidden=True),
        Network("gjest", "open", None),
    ]
    assert not provisioning.networks({})


def test_the_code_says_the_whole_in_one_line(code: str) -> None:
    extras = provisioning.extras(AGENT, URL, code, Network("Elevnett på Å", "open", None))
    said = provisioning.text(extras)
    assert json.loads(said) == extras
    assert "\n" not in said
    assert "Elevnett på Å" in said


def test_the_file_says_the_same_flat_and_in_strings_only(code: str) -> None:
    said = provisioning.init_json(URL, code)
    assert json.loads(said) == provisioning.bundle(URL, code)
    assert all(isinstance(one, str) for one in json.loads(said).values())
    assert said.endswith("\n")


def test_a_mistyped_code_makes_nothing() -> None:
    for make in (provisioning.bundle, provisioning.init_json):
        with pytest.raises(TicketCodeError):
            make(URL, "ABCD")


def test_by_cable_the_file_lies_there_before_the_agent_starts() -> None:
    commands = provisioning.adb_commands("hmdm.apk")
    assert [one.name for one in commands] == ["install", "folder", "init", "own", "start"]
    assert [shlex.join(one.words) for one in commands] == [
        "adb install hmdm.apk",
        "adb shell mkdir -p /sdcard/Android/data/com.hmdm.launcher/files",
        "adb push init.json /sdcard/Android/data/com.hmdm.launcher/files/init.json",
        "adb shell dpm set-device-owner com.hmdm.launcher/.AdminReceiver",
        "adb shell am start -n com.hmdm.launcher/.ui.MainActivity",
    ]


@pytest.mark.parametrize(
    ("url", "is_local_only", "has_own_ca", "told"),
    [
        (URL, False, False, []),
        (URL, False, True, [Obstacle.OWN_CA]),
        ("http://10.0.0.9:8000", False, True, [Obstacle.PLAIN]),
        ("http://127.0.0.1:8000", True, False, [Obstacle.LOCAL, Obstacle.PLAIN]),
    ],
)
def test_what_keeps_tablets_from_an_address_is_said(
    url: str, is_local_only: bool, has_own_ca: bool, told: list[Obstacle]
) -> None:
    assert provisioning.obstacles(url, is_local_only=is_local_only, has_own_ca=has_own_ca) == told
