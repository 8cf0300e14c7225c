"""What is set on an iPad by a command and stays until somebody changes it: its name, wallpaper and time zone.

Invariant: it is sent once for what it says, and again only where that changed or was not carried out. The name is the
tablet's asset tag, else its serial: an iPad shows its name to others around, so no pupil's stands in it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fleet.apps import images
from fleet.channels.apple import requests
from fleet.channels.apple.contents import Settings
from fleet.channels.apple.inventory import Known
from fleet.mdm import commands
from fleet.mdm.commands import Wanted
from fleet.mdm.models import Client
from profiles.digest import digest

_KEYS: Mapping[str, str] = {"wallpaper": "wallpaper.image", "time_zone": "time_zone.name"}


def want(client: Client, settings: Settings, *, again: bool = False, now: datetime) -> None:
    """Queue what has to be set on a client, where it is not set yet; what it refused only ``again``."""
    told = wished(client.device.asset_tag or client.device.serial, settings)
    shown = images.digests([told["wallpaper"]]) if "wallpaper" in told else {}
    if not shown:
        told.pop("wallpaper", None)  # nobody has uploaded it yet; it comes when somebody does
    mark = digest([told, *shown.values()])
    known = Known.read(client.told)
    if known.settled != mark and (again or known.unsettled != mark):
        keys = [_KEYS.get(word, "") for word in told]  # in the order of the command's items
        wanted = Wanted(requests.SETTINGS, {**told, "keys": keys, "mark": mark}, priority=commands.CALM)
        commands.ensure(client.device_id, wanted, now=now)
    else:
        commands.drop(client.device_id, requests.SETTINGS, now=now)


def wished(name: str, settings: Settings) -> dict[str, Any]:
    """Return what has to be set, by our words.

    Args:
        name: the tablet's.
        settings: effective settings.
    """
    told: dict[str, Any] = {"name": name}
    for word, key in _KEYS.items():
        # The command fails where the clock sets itself (Source: settings.yaml, TimeZone).
        if key in settings and not (word == "time_zone" and settings.get("clock.automatic")):
            told[word] = settings[key]
    return told
