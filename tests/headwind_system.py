"""What a simulated Android tablet is, apart from the agent on it: its system, its apps, what is set. For tests."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LAUNCHER, CHROME = "com.hmdm.launcher", "com.android.chrome"
_NOT_OF_VERSIONS = re.compile(r"[^\d.]")


@dataclass(frozen=True)
class Package:
    """An app on the tablet."""

    version: str
    code: int = 1


def _as_delivered() -> dict[str, Package]:
    return {
        LAUNCHER: Package("6.36", 16360),
        CHROME: Package("131.0.6778.39", 677803933),
        "com.android.settings": Package("14", 34),
        "com.sec.android.app.camera": Package("13.1.02.6", 1310206),
        "com.google.android.youtube": Package("19.47.53", 1551764922),
    }


@dataclass(kw_only=True)
class AndroidSystem:
    """The tablet itself.

    Args:
        model: as its maker calls it.
        android_version: of its system.
        cpu: what it runs.
        battery_percent: how full it is.
        is_owner: whether the agent owns the device: without, nothing is enforced.
        packages: what is installed, hidden or not.
        uninstallable: packages whose installation fails, and why.
        unpackable: packages that cannot even be given to the installer, and why.
        sim: what its SIM says of itself, as the agent tells it.
        location: where it was last, as the agent tells it.

    Attributes:
        hidden: packages that are suspended and hidden.
        restrictions: what its user may not, by Android's names.
        managed: what apps were given as their managed configuration.
        files: by their paths.
        password: what unlocks it; None: nothing was set.
        reboots: how often it was restarted.
        wipes: how often it was erased.
        launches: apps that were opened, one after the other.
        runs_launcher: whether the agent is its home screen.
    """

    model: str = "SM-X210"
    android_version: str = "14"
    cpu: str = "arm64-v8a"
    battery_percent: int = 81
    is_owner: bool = True
    packages: dict[str, Package] = field(default_factory=_as_delivered)
    uninstallable: dict[str, str] = field(default_factory=dict)
    unpackable: dict[str, str] = field(default_factory=dict)
    sim: Mapping[str, str] = field(default_factory=lambda: {"imei": "356938035643809", "phone": "+4799999999"})
    location: Mapping[str, float] | None = field(default_factory=lambda: {"ts": 1, "lat": 59.91, "lon": 10.75})
    hidden: set[str] = field(default_factory=set)
    restrictions: set[str] = field(default_factory=set)
    managed: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    password: str | None = None
    reboots: int = 0
    wipes: int = 0
    launches: list[str] = field(default_factory=list)
    runs_launcher: bool = False

    def found(self, package: str) -> Package | None:
        """Return an app as other apps find it: what is hidden is not installed, for them."""
        return None if package in self.hidden else self.packages.get(package)

    def install(self, listed: Mapping[str, Any], content: bytes) -> str | None:
        """Install what was fetched for an app of the list; returns why not, None where it is done."""
        package = listed["pkg"]
        if package in self.uninstallable:
            return self.uninstallable[package]
        if not content.startswith(b"PK"):
            return "INVALID"
        self.packages[package] = Package(listed["version"], listed.get("code") or 1)
        self.hidden.discard(package)
        return None

    def uninstall(self, package: str) -> None:
        """Take an app away."""
        self.packages.pop(package, None)
        self.hidden.discard(package)

    def lock(self, packages: Iterable[str]) -> None:
        """Suspend and hide apps: those that are there."""
        if self.is_owner:
            self.hidden |= {one for one in packages if one in self.packages and one != LAUNCHER}

    def unlock(self, packages: Iterable[str]) -> None:
        """Let apps be seen and used again."""
        self.hidden -= set(packages)

    def restrict(self, names: Iterable[str]) -> None:
        """Forbid what restrictions name."""
        if self.is_owner:
            self.restrictions |= set(names)

    def manage(self, settings: Sequence[Mapping[str, Any]]) -> None:
        """Give apps their managed configuration: those that are named get theirs anew, others keep what they have."""
        if not self.is_owner:
            return
        bundles: dict[str, dict[str, Any]] = {}
        for one in settings:
            bundle = bundles.setdefault(one["packageId"], {})
            if one["name"] == "managedConfig":
                bundle.update(json.loads(one["value"]))
            else:
                bundle[one["name"]] = one["value"]
        self.managed.update(bundles)

    def wipe(self) -> None:
        """Erase all; what was delivered with it stays."""
        new = AndroidSystem(model=self.model, android_version=self.android_version, cpu=self.cpu)
        self.__dict__.update(new.__dict__ | {"wipes": self.wipes + 1, "reboots": self.reboots})


def is_same_version(there: Package, listed: Mapping[str, Any]) -> bool:
    """Say whether the agent takes an installed app for the version that is listed."""
    if listed.get("code"):
        return there.code == int(listed["code"])
    return _digits(there.version) == _digits(listed["version"])


def is_newer(there: Package, listed: Mapping[str, Any]) -> bool:
    """Say whether the agent takes an installed app for newer than the version that is listed."""
    if listed.get("code"):
        return there.code > int(listed["code"])
    ours, theirs = ([int(part or 0) for part in _digits(one).split(".")] for one in (there.version, listed["version"]))
    return ours > theirs  # of equal beginnings the longer is the newer


def _digits(version: str) -> str:
    return _NOT_OF_VERSIONS.sub("", version)
