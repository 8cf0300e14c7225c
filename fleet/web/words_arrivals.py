"""What is on its way to a tablet, in words: apps it shall have and has not, a new system, its lost mode.

And whether it is supervised: what is on its way to one that is not may never hold.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.devices.models import Device, DeviceLife
from fleet.web.app_names import called
from fleet.web.texts import translated as _
from fleet.web.words import BAD, GOOD, WAITING, Told

_SHOWN = 12  # apps; the rest is a number


def apps(device: Device) -> tuple[Sequence[tuple[str, Told]], int]:
    """Return the first of the apps that a tablet shall have and has not, with how they stand, and how many more."""
    told: Mapping[str, Any] = (device.state.facts or {}).get("app_states") or {}
    found = [(called(app), _app(one)) for app, one in sorted(told.items())]
    return found[:_SHOWN], max(len(found) - _SHOWN, 0)


def _app(told: Mapping[str, Any]) -> Told:
    words = {
        "coming": (_("on its way"), WAITING),
        "waits": (_("waits for somebody at the tablet"), WAITING),
        "no-licence": (_("waits for a licence"), WAITING),
        "not-in-catalogue": (_("not in the app catalogue yet"), BAD),
        "removed": (_("was deleted on the tablet; it comes again"), WAITING),
        "refused": (_("was refused on the tablet; it is tried again"), BAD),
    }
    return Told(*words.get(str(told.get("state")), (_("could not be installed; it is tried again"), BAD)))


def closed(device: Device) -> Told | None:
    """Say whether a lost tablet is closed yet, or a found one open again; None where there is nothing to say."""
    is_closed = _flags(device).get("lost_mode")
    if device.life is DeviceLife.LOST and device.state.key_thumbprint is not None:
        if stays_open(device) and not is_closed:
            return Told(_("Cannot be closed: it is not supervised"), BAD)
        return Told(_("Closed on the tablet"), GOOD) if is_closed else Told(_("Is closed once it is reached"), WAITING)
    if is_closed and device.life is DeviceLife.ENROLLED:
        return Told(_("Is opened once it is reached"), WAITING)
    return None


def supervised(device: Device) -> Told | None:
    """Say whether a tablet is supervised; None where it has not told, as those that are no iPads."""
    is_supervised = _flags(device).get("supervised")
    if is_supervised is None:
        return None
    return Told(_("Supervised"), GOOD) if is_supervised else Told(_("Not supervised"), WAITING)


def stays_open(device: Device) -> bool:
    """Whether a tablet that is reported lost cannot be closed: it has told that it is not supervised."""
    return _flags(device).get("supervised") is False


def _flags(device: Device) -> Mapping[str, Any]:
    """Return what is so and what is not; an agent's flags are a list of what is."""
    told: Mapping[str, Any] | Sequence[str] = (device.state.facts or {}).get("flags") or {}
    return told if isinstance(told, Mapping) else dict.fromkeys(told, True)


def update(device: Device) -> Told | None:
    """Say how far a new system has come; None where none is on its way."""
    told: Mapping[str, Any] = (device.state.facts or {}).get("os_update") or {}
    version = told.get("version") or ""
    if told.get("state") == "failed":
        return Told(_("%(version)s could not be installed", version=version).strip(), BAD)
    return Told(_("%(version)s is on its way", version=version).strip(), WAITING) if version else None
