"""What pupils may not do on an Android tablet: Android's own restrictions, and policies that are fields of their own.

Invariants: the agent lifts the restrictions of its last configuration before it puts on those of the new one, so what
is left out is free again. Fields of their own are always said: a missing one means "leave it as it is". The exception
is the agent's: it never takes back what it was told of updates of the system, until it is told something else.

Source: names of restrictions: the constants ``DISALLOW_…`` of android.os.UserManager; fields: class ``ServerConfig`` of
the agent 6.36, and ``Utils`` for what it does with them.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from profiles import android
from profiles.key import HEADWIND
from profiles.kinds import FLAG
from profiles.vocabulary import VOCABULARY

# Whatever settings say: a tablet that starts in safe mode runs without the agent, and where a pupil is concerns nobody.
ALWAYS = ("no_config_location", "no_safe_boot")
_NO_BLUETOOTH = "no_bluetooth"
_RESTRICTIONS = re.compile(r"no_[a-z_]+(?:, no_[a-z_]+)*")
_BRIGHTEST = 255  # Source: Settings.System.SCREEN_BRIGHTNESS
_SECONDS = 60

# Source: ServerConfig.SYSTEM_UPDATE_…
_UPDATE_AS_IT_IS, _UPDATE_IN_WINDOW, _UPDATE_POSTPONED = 0, 2, 3

# A setting that is true or false, and the restrictions that hold where it is not what a tablet does by itself.
FLAGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        key.name: tuple(source.split(", "))
        for key in VOCABULARY.values()
        if key.kind is FLAG and (source := key.sources.get(HEADWIND)) and _RESTRICTIONS.fullmatch(source)
    }
)


def restrictions(settings: Mapping[str, Any]) -> str:
    """Return the restrictions that settings ask for, as the agent takes them: one text, without spaces."""
    asked = (
        one
        for name, found in FLAGS.items()
        if name in settings and settings[name] != VOCABULARY[name].default
        for one in found
    )
    bluetooth = [_NO_BLUETOOTH] if settings.get("bluetooth.allowed") is False else []
    return joined([*ALWAYS, *asked, *bluetooth])


def joined(names: Iterable[str]) -> str:
    """Return names as one text in a stable order."""
    return ",".join(sorted(set(names)))


def policies(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the agent enforces itself."""
    mode = android.passcode_mode(settings)
    return {
        "restrictions": restrictions(settings),
        "usbStorage": settings.get("usb.storage_allowed") is False,
        "disableScreenshots": settings.get("screenshots.allowed") is False,
        # True would turn Bluetooth on every ten seconds.
        "bluetooth": False if settings.get("bluetooth.allowed") is False else None,
        "passwordMode": mode.word if mode else None,
        # A zone that was set would stay else.
        "timeZone": android.zone(settings) or "auto",
        **_sound(settings),
        **_screen(settings),
        **_updates(settings),
    }


def _sound(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "lockVolume": settings.get("sound.locked", False),
        "manageVolume": "sound.volume_max_percent" in settings,
        "volume": settings.get("sound.volume_max_percent"),
    }


def _screen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return brightness and the time until the screen is off; without a word on the one it is free to be set."""
    percent, minutes = settings.get("display.brightness_percent"), settings.get("passcode.auto_lock_minutes")
    return {
        "autoBrightness": settings.get("display.auto_brightness", None if percent is None else False),
        "brightness": None if percent is None else round(percent * _BRIGHTEST / 100),
        "manageTimeout": minutes is not None,
        "timeout": None if minutes is None else minutes * _SECONDS,
    }


def _updates(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return when apps and the system are updated; of a window and a deferral of the system the window holds."""
    apps, system = settings.get("apps.update_window"), settings.get("os_update.window")
    kind = _UPDATE_AS_IT_IS
    if system is not None:
        kind = _UPDATE_IN_WINDOW
    elif settings.get("os_update.deferral_days", 0):
        kind = _UPDATE_POSTPONED
    return {
        "appUpdateFrom": apps and apps["from"],
        "appUpdateTo": apps and apps["until"],
        "systemUpdateType": kind,
        "systemUpdateFrom": system and system["from"],
        "systemUpdateTo": system and system["until"],
    }
