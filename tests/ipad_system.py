"""What a simulated iPad is, apart from its client: its system, name and apps, and how willing it is. For tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class IpadSystem:
    """The iPad itself.

    Args:
        os_version: its system.
        is_supervised: whether it is.
        able: configurations that it says it knows, by type; None: it does not say.
        refuses: commands that it answers with an error.
        refused_items: items of Settings that it cannot set.
        awaits: whether its set-up waits until it is told to go on.
        is_mute: whether it reports nothing of its declarations.
        slow_apps: whether apps are long on their way.
        garbles: whether it can read no command at all.
        store: what the store has, by number.

    Attributes:
        apps: what is installed, with versions.
        asked_for: which of the store's apps it was asked to install.
        device_name: what it is called; None: nobody has said.
        lost: what closed it; None: it is open.
        erased: what erased it.
        wallpaper: its picture.
        manifests: addresses of manifests that it was told to install by.
        bought: how apps of the store were to be bought, one after the other.
    """

    os_version: str = "17.6.1"
    is_supervised: bool = True
    able: frozenset[str] | None = None
    refuses: set[str] = field(default_factory=set)
    refused_items: frozenset[str] = frozenset()
    awaits: bool = False
    is_mute: bool = False
    slow_apps: bool = False
    garbles: bool = False
    store: Mapping[int, str] = field(default_factory=lambda: {123456789: "no.example.book"})
    apps: dict[str, str] = field(default_factory=lambda: {"no.school.app": "2.1"})
    asked_for: dict[int, str] = field(default_factory=dict)
    device_name: str | None = None
    lost: Mapping[str, Any] | None = None
    erased: Mapping[str, Any] | None = None
    wallpaper: bytes | None = None
    manifests: list[str] = field(default_factory=list)
    bought: list[Mapping[str, Any]] = field(default_factory=list)

    def do(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a command says, and return what the answer tells."""
        match command["RequestType"]:
            case "EraseDevice":
                self.erased = command
            case "EnableLostMode":
                self.lost = command
            case "DisableLostMode":
                self.lost = None
            case "DeviceLocation":
                return {"Latitude": 59.91, "Longitude": 10.75, "HorizontalAccuracy": 20.0}
            case "Settings":
                return {"Settings": [self._set(one) for one in command["Settings"]]}
            case "InstallApplication":
                return self._install(command)
            case _:
                return self._tell(command["RequestType"])
        return {}

    def _set(self, item: Mapping[str, Any]) -> dict[str, Any]:
        if item["Item"] in self.refused_items:
            return {"Item": item["Item"], "Status": "Error"}
        if item["Item"] == "DeviceName":
            self.device_name = item["DeviceName"]
        if item["Item"] == "Wallpaper":
            self.wallpaper = item["Image"]
        return {"Item": item["Item"], "Status": "Acknowledged"}

    def _install(self, command: Mapping[str, Any]) -> dict[str, Any]:
        if "ManifestURL" in command:
            self.manifests.append(command["ManifestURL"])
            return {"State": "Installing"}
        number = command["iTunesStoreID"]
        self.bought.append(command["Options"])
        app = self.asked_for[number] = self.store[number]
        if not self.slow_apps:
            self.apps[app] = "1.0"
        return {"Identifier": app, "State": "Installing" if self.slow_apps else "Managed"}

    def _tell(self, kind: str) -> dict[str, Any]:
        """Return what a question is answered."""
        if kind == "ManagedApplicationList" and not self.slow_apps:
            self.apps.update(dict.fromkeys(self.asked_for.values(), "1.0"))
        installed = [{"Identifier": app, "ShortVersion": told, "Installing": False} for app, told in self.apps.items()]
        ours = {app: {"Status": "Managed" if app in self.apps else "Installing"} for app in self.asked_for.values()}
        answers: dict[str, dict[str, Any]] = {
            "DeviceInformation": {
                "QueryResponses": {
                    "OSVersion": self.os_version, "ProductName": "iPad13,18", "DeviceCapacity": 64.0,
                    "AvailableDeviceCapacity": 40.5, "BatteryLevel": 0.81, "IsSupervised": self.is_supervised,
                    "IsMDMLostModeEnabled": self.lost is not None,
                }
            },
            "SecurityInfo": {"SecurityInfo": {"PasscodePresent": True, "PasscodeCompliant": True}},
            "InstalledApplicationList": {"InstalledApplicationList": installed},
            "ManagedApplicationList": {"ManagedApplicationList": ours},
        }  # fmt: skip
        return answers.get(kind, {})
