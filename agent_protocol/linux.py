"""A real Linux tablet: its inventory, and appliers that write the profile where the tablet's programs read it.

One file per area of the vocabulary (``apps.json``, ``web.json`` …) in ``applied/`` of the state directory, each
replaced whole; ``profile.json`` names the profile that the files together make. What to do with them is the
tablet image's own business (a launcher, a firewall, a dconf profile); an area that nothing on Linux can obey is told
to the server as not applied. Not here: talking to the server.
"""

import json
import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent_protocol.device import Identity, Inventory
from agent_protocol.messages import MAX_APPS, App, Failure, Order, OrderState
from agent_protocol.store import write_whole

# Areas of keys that a Linux image can obey with files; the others are an operating system's own doing.
AREAS = frozenset(
    {
        "apps", "web", "wifi", "home_screen", "wallpaper", "lock_screen", "kiosk", "display", "sound", "passcode",
        "os_update", "os", "bluetooth", "usb", "camera", "screenshots", "proxy", "language",
        "time_zone", "printing", "accounts", "storage",
    }
)  # fmt: skip
# Orders that are shown, each with the field that says what, and the file that it is put into.
_SHOWN = {
    "message": ("text", "message.txt"),
    "lock-message": ("text", "message.txt"),
    "open-url": ("url", "open-url.txt"),
    "open-app": ("app", "open-app.txt"),
}
_NAMES = (Path("/sys/class/dmi/id/product_name"), Path("/sys/firmware/devicetree/base/model"))
_SERIALS = (Path("/sys/class/dmi/id/product_serial"), Path("/sys/firmware/devicetree/base/serial-number"))
_DESKTOP_FILES = (Path("/usr/share/applications"), Path("/usr/local/share/applications"))
_POWER = Path("/sys/class/power_supply")


def _first_line(paths: Sequence[Path]) -> str | None:
    """Return the first line found in ``paths`` that says something."""
    for path in paths:
        try:
            text = path.read_text(errors="replace").strip().strip("\0")
        except OSError:
            continue
        if text and text.lower() not in {"none", "default string", "to be filled by o.e.m.", "not specified"}:
            return text.splitlines()[0][:64]
    return None


def machine_serial() -> str | None:
    """Return the serial that the machine tells, None where it tells none."""
    return _first_line(_SERIALS)


def _battery_percent(folder: Path = _POWER) -> int | None:
    """Return the charge of the first battery, None where there is none."""
    for supply in sorted(folder.glob("*")) if folder.is_dir() else ():
        if _first_line([supply / "type"]) == "Battery":
            capacity = _first_line([supply / "capacity"])
            if capacity is not None and capacity.isdecimal():
                return min(100, int(capacity))
    return None


def _installed_apps(folders: Sequence[Path] = _DESKTOP_FILES) -> list[App]:
    """Return the programs a person can start, by the names of their desktop files."""
    names = {path.stem for folder in folders if folder.is_dir() for path in folder.glob("*.desktop")}
    # A name that is not UTF-8 (Python keeps its bytes as surrogates) cannot be told as it is.
    return [App(name.encode(errors="replace").decode()[:255]) for name in sorted(names)][:MAX_APPS]


def _os_version() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.release()
    return release.get("VERSION_ID") or release.get("VERSION_CODENAME") or platform.release()


class LinuxTablet:
    """The machine this program runs on.

    Args:
        folder: the agent's state directory; profiles are applied into ``applied`` inside it.
        serial: the serial on the delivery list; read from the machine where not given.

    Raises:
        ValueError: no serial was given and the machine does not tell one.
    """

    def __init__(self, folder: Path, *, serial: str | None = None) -> None:
        found = serial or machine_serial()
        if found is None:
            raise ValueError("the machine does not tell its serial; give it with --serial")
        self._serial = found
        self._model = _first_line(_NAMES) or platform.machine()
        self._applied = folder / "applied"
        self._applied.mkdir(mode=0o700, parents=True, exist_ok=True)

    def identity(self) -> Identity:
        """Return who the tablet is."""
        return Identity(self._serial, "linux", self._model)

    def inventory(self) -> Inventory:
        """Return what the tablet has just now."""
        disk = shutil.disk_usage(self._applied)
        return Inventory(
            os_version=_os_version(),
            model=self._model,
            battery_percent=_battery_percent(),
            storage_total_bytes=disk.total,
            storage_free_bytes=disk.free,
            apps=_installed_apps(),
            attributes={"kernel": platform.release()[:255], "architecture": platform.machine()},
        )

    def apply(self, digest: str, settings: Mapping[str, Any]) -> Sequence[Failure]:
        """Write the areas' files, remove those of areas that are no longer set, then name the profile.

        Raises:
            OSError: the disk is full; the agent tries again at the next switch.
        """
        areas: dict[str, dict[str, Any]] = {}
        failures = []
        for key, value in settings.items():
            area = key.partition(".")[0]
            if area in AREAS:
                areas.setdefault(area, {})[key] = value
            else:
                failures.append(Failure(key, "unsupported"))
        marker = self._applied / "profile.json"
        marker.unlink(missing_ok=True)
        for area, values in areas.items():
            write_whole(self._applied / f"{area}.json", json.dumps(values, ensure_ascii=False, indent=1).encode())
        for path in self._applied.glob("*.json"):
            if path.stem not in areas:
                path.unlink()
        write_whole(marker, json.dumps({"profile": digest, "areas": sorted(areas)}).encode())
        return failures

    def obey(self, order: Order) -> tuple[OrderState, str]:
        """Carry out an order: messages, addresses and apps are shown by whoever watches the files they are put into."""
        if order.kind == "report-now":
            return OrderState.DONE, ""
        if order.kind not in _SHOWN:
            return OrderState.REFUSED, "this tablet cannot do that"
        field, name = _SHOWN[order.kind]
        told = str(order.payload.get(field, ""))
        if (field == "url" and not _is_web_address(told)) or (field == "app" and not told):
            return OrderState.FAILED, "nothing that can be opened"
        write_whole(self._applied / name, told.encode())
        return OrderState.DONE, ""


def _is_web_address(told: str) -> bool:
    try:
        parts = urlsplit(told)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and told.isprintable() and " " not in told
