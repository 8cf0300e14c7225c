"""What is known of a tablet by what its agent told, one word after the other; made into our report.

Invariant: an app that is hidden on the tablet is not listed by the agent, and counts as it was before: what a lesson
hides is not gone.
"""

import hashlib
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from fleet.channels.headwind.messages import Info, Logged
from fleet.checkins.receive import Report

V = TypeVar("V")

# Of apps that could not be had: far more than any profile requires. Who has a tablet's word shall not fill the disk.
MOST_FAILURES = 100


def newest(before: Mapping[str, V], told: Mapping[str, V]) -> dict[str, V]:
    """Return what is known of apps that could not be had, with what a tablet tells now; others give way."""
    every = {**{app: one for app, one in before.items() if app not in told}, **told}
    return dict(list(every.items())[-MOST_FAILURES:])


@dataclass(frozen=True, slots=True)
class Known:
    """What is known.

    Args:
        info: what it last told of itself.
        apps: versions of installed apps of its configuration, by package name.
        failures: apps that could not be installed, and at what that failed.
        applied: the effective profile in force; None where none that we know.
        is_fetched: whether its last update began with a configuration that it had just fetched, and not with a cached
            one.
        is_stopped: whether that update stopped, so that less is in force than it has cached.
    """

    info: Info = field(default_factory=Info)
    apps: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    applied: str | None = None
    is_fetched: bool = True
    is_stopped: bool = False

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> "Known":
        """Return what :meth:`written` kept; nothing where nothing was, or where another version kept it otherwise."""
        try:
            return msgspec.convert(kept or {}, cls)
        except msgspec.ValidationError:
            return cls()

    def written(self) -> dict[str, Any]:
        """Return it as plain data."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    def anew(self) -> "Known":
        """Return what is known of a tablet that has come back: what it is and has, but nothing is in force."""
        return replace(self, applied=None, is_fetched=True, is_stopped=False)

    def with_info(self, info: Info, hidden: Collection[str]) -> "Known":
        """Return what is known after the tablet told of itself.

        Args:
            info: what it told.
            hidden: packages that may be hidden on it.
        """
        kept = {app: version for app, version in self.apps.items() if app in hidden and app not in info.apps}
        apps = {**kept, **info.apps}
        failures = {app: why for app, why in self.failures.items() if app not in info.apps}
        applied = self.applied if self.is_stopped else info.profile or self.applied
        return replace(self, info=info, apps=apps, failures=failures, applied=applied)

    def with_log(self, logged: Logged, served: str | None) -> "Known":
        """Return what is known after a part of its log.

        Args:
            logged: what counts in it.
            served: the effective profile that it was last given.
        """
        failures = newest(self.failures, logged.failures)
        is_new = self.is_fetched if logged.was_fetched is None else logged.was_fetched
        applied = served if logged.is_completed and is_new else self.applied
        is_fetched = self.is_fetched if logged.is_fetched is None else logged.is_fetched
        is_stopped = self.is_stopped if logged.is_stopped is None else logged.is_stopped
        return replace(self, failures=failures, applied=applied, is_fetched=is_fetched, is_stopped=is_stopped)

    def _told(self, app: str, version: str) -> dict[str, Any]:
        """Return an app as it is reported: one that the tablet does not list is there, but nobody can open it."""
        return {"id": app, "version": version, **({} if app in self.info.apps else {"is_hidden": True})}

    def report(self, device_id: int, key: str, sequence: int) -> Report:
        """Return it as our report.

        Args:
            device_id: the tablet.
            key: names its enrolment.
            sequence: the next of the tablet.
        """
        flags = {"device_owner": self.info.is_owner, "device_admin": self.info.is_admin}
        facts = {
            "os_version": self.info.os_version,
            "model": self.info.model,
            "agent_version": self.info.agent_version,
            "apps": [self._told(app, version) for app, version in sorted(self.apps.items())],
            "app_states": {app: {"state": "failed", "reason": why} for app, why in sorted(self.failures.items())},
            "flags": {name: value for name, value in flags.items() if value is not None},
        }
        content = msgspec.json.encode([facts, self.applied], order="sorted")
        return Report(
            device_id=device_id,
            key=key,
            sequence=sequence,
            report_id=str(uuid.uuid4()),
            body_digest=hashlib.sha256(content).hexdigest(),
            applied=self.applied,
            facts=facts,
            battery_percent=self.info.battery_percent,
        )
