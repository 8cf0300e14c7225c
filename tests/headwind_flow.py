"""What the simulated Android agent does with a configuration that it has: the later half of an update. For tests."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.headwind_system import CHROME, LAUNCHER, AndroidSystem, is_newer, is_same_version

_RELEASED = {"no_install_apps", "no_uninstall_apps"}
_MOST_REBOOTS = 5


class ServerError(Exception):
    """The server said that it does not know the tablet."""


class StoppedError(Exception):
    """The update goes no further; the text says at what."""


class ReplacedError(Exception):
    """The agent installed itself anew: Android ends what ran, and starts the new one."""


@dataclass(kw_only=True)
class UpdateFlow(AndroidSystem, ABC):
    """Puts a configuration into force, in the agent's order.

    Args:
        in_front: whether the launcher is what its user sees.
        skips_downloads: whether its user skips what cannot be fetched, where the launcher is in front and asks.
        now: its clock.
        on_change: called when something else came into force.

    Attributes:
        config: the configuration that it has.
        failed: packages that were installed in vain, by the names of their files, and files by their paths.
        fetched_files: when the files were new that it has, by their paths.
        stopped_by: at what updates stopped, with the restrictions lifted.
        completed: when updates were complete.
        changed_at: when what is in force last became another.
        notice: what fills the screen; None: nothing.
        is_erased: whether it was erased, and has to be set up anew.
    """

    in_front: bool = False
    skips_downloads: bool = True
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    on_change: Callable[[], None] = field(default=lambda: None)
    config: dict[str, Any] | None = None
    failed: set[str] = field(default_factory=set)
    fetched_files: dict[str, int] = field(default_factory=dict)
    stopped_by: list[str] = field(default_factory=list)
    completed: list[datetime] = field(default_factory=list)
    changed_at: datetime | None = None
    notice: str | None = None
    is_erased: bool = False

    @abstractmethod
    def download(self, url: str) -> bytes:
        """Fetch a file."""

    @abstractmethod
    def confirm(self, path: str, **more: Any) -> bool:
        """Say that something will be done, or was."""

    @abstractmethod
    def report(self) -> bool:
        """Report how the tablet is."""

    @abstractmethod
    def log(self, level: int, message: str) -> None:
        """Note something."""

    @abstractmethod
    def update(self) -> None:
        """Fetch the configuration and put it into force."""

    def changed(self) -> None:
        """Note that something else is in force."""
        self.changed_at = self.now()
        self.on_change()

    def lift(self) -> None:
        """Lift the restrictions that the configuration has set, and those on installing, as each update begins."""
        self.restrictions -= _words((self.config or {}).get("restrictions")) | _RELEASED

    def apply(self) -> None:
        """Do what the configuration says.

        Raises:
            StoppedError: something could not be fetched; nothing that comes later is done.
        """
        assert self.config is not None
        if self._does_what_happens_once(self.config):
            return
        self.runs_launcher = self.is_owner and not self.config.get("runDefaultLauncher")
        self._update_files(self.config["files"])
        for one in self._apps_to_change(self.config["applications"]):
            if self._is_time_for_apps(self.config):
                self._change_app(one)
        self.restrict(_words(self.config.get("restrictions")))
        self.lock(self._own("locked_packages"))
        self.unlock(self._own("unlocked_packages"))
        self.notice = self.config.get("lockMessage") if self.config.get("lock") else None
        self.completed.append(self.now())
        self.changed()
        if self.in_front:
            self.report()
        self.log(5, "Update flow completed")

    def _own(self, name: str) -> set[str]:
        found = self.managed.get(LAUNCHER, {}).get(name)
        return _words(found)

    def _does_what_happens_once(self, config: Mapping[str, Any]) -> bool:
        """Erase, restart, set the password; returns whether the update ends with it."""
        if config.get("factoryReset"):
            self.log(3, "Device reset by server request")
            if self.confirm("", factoryReset=self.is_owner) and self.is_owner:
                self.wipe()
                self.config, self.is_erased, self.notice = None, True, None
                self.failed.clear()
                self.changed()
                return True
            self.log(2, "Failed to confirm device reset on server")
        if config.get("reboot"):
            self.log(3, "Rebooting by server request")
            if self.confirm("reboot/"):
                self.reboots += 1
                assert self.reboots < _MOST_REBOOTS, "it restarts again and again"
                self.update()  # as whenever it is switched on
                return True
            self.log(2, "Failed to confirm reboot on server")
        if config.get("passwordReset") is not None:
            self.password = config["passwordReset"]
            self.log(3, "Password successfully changed")
            self.confirm("password/")
        return False

    # -- files ---------------------------------------------------------------------------------------------------

    def _update_files(self, files: list[dict[str, Any]]) -> None:
        for one in files:
            path = one.get("path")
            if path is None:
                continue
            if one.get("remove"):
                self.files.pop(path, None)
                self.fetched_files.pop(path, None)
            elif path not in self.files or self.fetched_files.get(path, -1) < (one.get("lastUpdate") or 0):
                self._fetch_file(path, one)

    def _fetch_file(self, path: str, one: Mapping[str, Any]) -> None:
        try:
            self.files[path] = self.download(one["url"])
        except OSError as error:
            self.log(2, f"Failed to download file {path}: {error}")
            self._fails(path)
            return
        self.fetched_files[path] = one.get("lastUpdate") or 0

    def _fails(self, what: str) -> None:
        """Ask the user whether to go on without; behind other apps nobody can be asked."""
        if not (self.in_front and self.skips_downloads):
            raise StoppedError(what)

    # -- apps ----------------------------------------------------------------------------------------------------

    def _apps_to_change(self, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        apps = [one for one in listed if one.get("type") in {None, "app"}]
        gone = [one for one in apps if one.get("remove") and self._shall_go(one)]
        return gone + [one for one in apps if not one.get("remove") and self._shall_come(one, gone)]

    def _shall_go(self, one: Mapping[str, Any]) -> bool:
        there = self.found(one["pkg"])
        return there is not None and (one["version"] == "0" or is_same_version(there, one))

    def _shall_come(self, one: Mapping[str, Any], gone: list[dict[str, Any]]) -> bool:
        there = self.found(one["pkg"])
        if not (one.get("url") or "").strip():
            return False  # an app of the system
        if there is None:
            return True
        if one.get("skipVersion") or one["version"] == "0" or is_same_version(there, one):
            return False
        if is_newer(there, one):
            return any(other["pkg"].lower() == one["pkg"].lower() for other in gone)
        return True

    def _is_time_for_apps(self, config: Mapping[str, Any]) -> bool:
        first, last = (config.get(name) for name in ("appUpdateFrom", "appUpdateTo"))
        if first is None or last is None or first == last:
            return True
        zone = config.get("timeZone")
        local = f"{self.now().astimezone(ZoneInfo(zone if zone not in {None, 'auto'} else 'UTC')):%H:%M}"
        return bool(first <= local <= last if first < last else local >= first or local <= last)

    def _change_app(self, one: Mapping[str, Any]) -> None:
        package = one["pkg"]
        if one.get("remove"):
            self.log(4, f"Removing app: {package}")
            self.uninstall(package)
            return
        name = one["url"].rpartition("/")[2]
        if name in self.failed:
            self.log(3, f"Skip download due to previous install failure: {package}")
            self._fails(package)
            return
        try:
            self.log(4, f"Downloading app: {package}")
            content = self.download(one["url"])
        except OSError as error:
            self.log(2, f"Failed to download app {package}: {error}")
            self._fails(package)
            return
        if package in self.unpackable:
            self.failed.add(name)
            self.log(2, f"Failed to install app {package}: {self.unpackable[package]}")
            self._fails(package)
            return
        why_not = self.install(one, content)
        if why_not is not None:
            self.failed.add(name)
            self.log(1, f"{package} Install failed: {why_not}")
            return
        if package == LAUNCHER:
            raise ReplacedError
        self.log(4, f"App {package} installed successfully")
        if one.get("runAfterInstall"):
            self.launches.append(package)

    # -- what is to be seen --------------------------------------------------------------------------------------

    def device_info(self) -> dict[str, Any]:
        """Return what a report says: of apps and files only what the configuration names."""
        config = self.config or {}
        listed = {one["pkg"]: one for one in reversed(config.get("applications", [])) if not one.get("remove")}
        there = {package: self.found(package) for package in listed}
        apps = [
            {"name": listed[package].get("name"), "pkg": package, "version": app.version}
            for package, app in there.items()
            if app is not None
        ]
        files = [one for one in config.get("files", []) if one.get("path") in self.files]
        told = {
            "model": self.model, "androidVersion": self.android_version, "cpu": self.cpu,
            "batteryLevel": self.battery_percent, "mdmMode": self.is_owner, "kioskMode": False,
            "launcherType": "opensource", "launcherPackage": LAUNCHER if self.runs_launcher else "com.sec.android.app.launcher",
            "defaultLauncher": self.runs_launcher, "permissions": [int(self.is_owner), 1, 0, 0],
            "applications": apps, "files": files, "location": self.location, **self.sim,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value is not None}

    @property
    def icons(self) -> list[str]:
        """What its home screen shows, in order: apps that can be opened, pages and intents, by their packages."""
        listed = [one for one in (self.config or {}).get("applications", []) if one.get("showIcon")]
        seen = [one for one in listed if one.get("type") in {"web", "intent"} or self.found(one["pkg"])]
        return [one["pkg"] for one in sorted(seen, key=lambda one: one.get("screenOrder") or 0)]

    @property
    def web_policy(self) -> Mapping[str, Any]:
        """What Chrome was told."""
        return self.managed.get(CHROME, {})


def _words(text: str | None) -> set[str]:
    return {word for word in (text or "").split(",") if word}
