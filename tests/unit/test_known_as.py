"""Settings are found by what people call them, and by the channels' own names."""

import pytest

from profiles.known_as import KNOWN_AS, is_called
from profiles.vocabulary import VOCABULARY


def found(text: str) -> set[str]:
    return {key.name for key in VOCABULARY.values() if is_called(key, text.split())}


def test_only_settings_there_are_have_other_names() -> None:
    assert KNOWN_AS.keys() <= VOCABULARY.keys()


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Safari", "web.allowed"), ("AirDrop", "sharing.nearby_allowed"), ("icloud", "cloud.backup_allowed"),
        ("Game Center", "games.centre_allowed"), ("FaceTime", "video_calls.allowed"), ("Siri", "assistant.allowed"),
        ("bluetooth", "bluetooth.allowed"), ("WLAN", "wifi.networks"), ("WiFi", "wifi.networks"),
        ("wi-fi", "wifi.only_known"), ("App Store", "apps.installation_allowed"), ("PIN", "passcode.required"),
        ("allowCamera", "camera.allowed"), ("no_camera", "camera.allowed"), ("com.apple.airprint", "printing.printers"),
        ("camera.allowed", "camera.allowed"), ("minnepenn", "usb.storage_allowed"), ("kamera", "camera.allowed"),
    ],
)  # fmt: skip
def test_settings_are_found_by_what_people_call_them(typed: str, name: str) -> None:
    assert name in found(typed)


def test_short_words_are_not_found_in_channels_names() -> None:
    assert "wifi.networks" not in found("app")
    assert "clock.automatic" not in found("no")
    assert found("finnes ikke") == set()
