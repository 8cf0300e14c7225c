"""What is known of a tablet: told piece by piece, in answers and status reports, and kept together beside its client.

Only what has a purpose is kept. From it our report is made, which is like that of any other tablet.
"""

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from fleet.channels.apple import answers, app_progress, requests
from fleet.channels.apple.answers import AppState, DeviceInformation, SecurityInformation
from fleet.channels.apple.app_plan import Progress
from fleet.channels.apple.declarations import Capabilities
from fleet.channels.apple.status import Status, merged
from fleet.checkins.receive import Report
from fleet.mdm.models import Client, Command


@dataclass(frozen=True, slots=True)
class Known:
    """What a tablet has told.

    Args:
        information: what it is.
        security: of its passcode and encryption.
        apps: what is installed, as {"id", "version"}.
        status: its status reports together.
        applied: digest of the effective profile that is in force; None where none of ours is.
        lesson: digest of the lesson's profile that was put on top last; None where it was taken away.
        refused_lesson: digest of the lesson's profile that it refused last; None where it took the last one.
        settled: digest of what was last set by a command.
        unsettled: digest of what it refused to have set; None where it took the last one.
        refused: settings that commands carry and that were not carried out, and why.
        tries: how often in a row it did not do what leads to what it shall have.
        apps_of_ours: how far those have come that it was asked to install, by id.
        lacking: apps that cannot come, and why, by id.
        has_identity: whether the certificate that it signs with is among those it lists; None where it has not told.
        has_listed: whether it has told which apps there are, or that it does not tell.
        certificate_expires_at: when the certificate that it signs with runs out, the last one of several.
    """

    information: DeviceInformation = field(default_factory=DeviceInformation)
    security: SecurityInformation = field(default_factory=SecurityInformation)
    apps: tuple[Mapping[str, str], ...] = ()
    status: Status = field(default_factory=Status)
    applied: str | None = None
    lesson: str | None = None
    refused_lesson: str | None = None
    settled: str | None = None
    unsettled: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    tries: int = 0
    apps_of_ours: Mapping[str, Progress] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    has_identity: bool | None = None
    has_listed: bool = False
    certificate_expires_at: datetime | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> "Known":
        """Return what :meth:`written` kept; nothing where nothing was.

        What another version kept and this one cannot read is as if it had not been told, so that no tablet is shut out.
        """
        try:
            return msgspec.convert(kept or {}, cls)
        except msgspec.ValidationError:
            return cls(**dict(_readable(kept or {})))

    @property
    def os_version(self) -> str | None:
        """Which system it has, as it last told."""
        return self.status.os_version or self.information.os_version

    @property
    def premises(self) -> tuple[Capabilities | None, str | None, bool, bool]:
        """What all that it shall have is worked out from, beside the settings."""
        return self.status.capabilities, self.os_version, self.has_listed, bool(self.information.is_lost)

    def written(self) -> dict[str, Any]:
        """Return it as plain data."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    def with_status(self, told: Status, at: datetime) -> "Known":
        """Return what is known after a status report."""
        states = {app.id: AppState.REMOVED if app.is_removed else app.state for app in told.apps}
        ours = app_progress.told(self.apps_of_ours, states, at)
        return replace(self, status=merged(self.status, told), apps_of_ours=ours)

    def with_applied(self, digest: str | None) -> "Known":
        """Return it with another profile in force."""
        return replace(self, applied=digest)

    def without_lesson(self) -> "Known":
        """Return it once the lesson's profile has gone by its own clock."""
        return replace(self, lesson=None, refused_lesson=None)

    def closed(self, *, is_lost: bool) -> "Known":
        """Return it in lost mode, or out of it."""
        return replace(self, information=replace(self.information, is_lost=is_lost))

    def with_answer(self, done: Command, answer: Mapping[str, Any]) -> "Known | None":
        """Return what is known after a command was carried out; None where that tells nothing."""
        if done.kind not in _READ:
            return None
        told = _READ[done.kind](self, done.content or {}, answer, done.ended_at or done.queued_at)
        return replace(told, tries=0) if done.kind in _LEADING else told

    def with_refusal(self, done: Command) -> "Known | None":
        """Return what is known after a command was refused; None where nothing depends on it."""
        content = done.content or {}
        if done.kind == requests.INSTALL_APP:
            at = done.ended_at or done.queued_at
            return replace(self, apps_of_ours=app_progress.refused(self.apps_of_ours, content, done.detail, at))
        if done.kind == requests.APPS:
            return replace(self, has_listed=True)
        if done.kind not in _LEADING:
            return None
        keys = [key for key in content.get("keys", ()) if key]
        refused = {**self.refused, **dict.fromkeys(keys, done.detail or done.kind)}
        lesson = content.get("file") if done.kind == requests.INSTALL else self.refused_lesson
        unsettled = content.get("mark") if done.kind == requests.SETTINGS else self.unsettled
        return replace(self, tries=self.tries + 1, refused=refused, refused_lesson=lesson, unsettled=unsettled)

    def _update(self) -> dict[str, str]:
        """Return how far a new system has come; nothing where none is on its way."""
        told = self.status.update
        if told.state == "failed":
            return {"state": "failed", "version": told.pending_version or "", "reason": told.failure_reason or ""}
        return {"state": told.state or "", "version": told.pending_version} if told.pending_version else {}

    def _app_states(self) -> dict[str, dict[str, str]]:
        """Return how those apps stand that shall be there and are not, or not as they shall be."""
        states = {app: {"state": why} for app, why in self.lacking.items()}
        for app, one in self.apps_of_ours.items():
            if app not in states and one.state is not AppState.INSTALLED:
                states[app] = {"state": one.state.value, **({"reason": one.reason} if one.reason else {})}
        return states

    def report(self, client: Client, *, failures: Sequence[Mapping[str, str]], sequence: int) -> Report:
        """Return it as our report.

        Args:
            client: whose it is.
            failures: settings that were refused of what was declared.
            sequence: the next of the tablet.
        """
        told = self.information
        passcode = (self.status.is_passcode_present, self.security.is_passcode_present)
        flags = {
            "supervised": told.is_supervised,
            "lost_mode": told.is_lost,
            "identity_present": self.has_identity,
            "passcode_present": next((one for one in passcode if one is not None), None),
            "encrypted": self.security.is_encrypted,
            "battery_service": _wants_service(self.status.battery_health),
        }
        ends = self.certificate_expires_at
        facts = {
            "os_version": self.os_version,
            "model": self.status.model or told.model,
            "storage_total_bytes": told.storage_total_bytes,
            "apps": [dict(one) for one in self.apps],
            "app_states": self._app_states(),
            "os_update": self._update(),
            **({"certificate_expires_at": ends.isoformat()} if ends is not None else {}),
            "flags": {name: value for name, value in flags.items() if value is not None},
        }
        refused = [*failures, *({"key": key, "reason": why} for key, why in sorted(self.refused.items()))]
        content = msgspec.json.encode([facts, self.applied, refused], order="sorted")
        return Report(
            device_id=client.device_id,
            key=client.thumbprint,
            sequence=sequence,
            report_id=str(uuid.uuid4()),
            body_digest=hashlib.sha256(content).hexdigest(),
            applied=self.applied,
            facts=facts,
            failures=refused,
            battery_percent=told.battery_percent,
            storage_free_bytes=told.storage_free_bytes,
        )


def _wants_service(battery_health: str | None) -> bool | None:
    """Whether a battery is worn; None where the iPad cannot tell. Source: StatusDeviceBatteryHealth."""
    return {"normal": False, "service-recommended": True}.get(battery_health or "")


def _readable(kept: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what can be read of what is kept, by its name."""
    for name in kept.keys() & set(Known.__slots__):
        with contextlib.suppress(msgspec.ValidationError):
            yield name, getattr(msgspec.convert({name: kept[name]}, Known), name)


Content = Mapping[str, Any]


def _settled(known: Known, content: Content, answer: Content, _at: datetime) -> Known:
    """Return what is known after something was set by a command, or tried: the answer speaks of each item."""
    keys = [*content["keys"]]
    done = answers.read_settings(answer) or (True,) * len(keys)
    failed = {key: requests.SETTINGS for key, is_set in zip(keys, done, strict=False) if key and not is_set}
    refused = {key: why for key, why in known.refused.items() if key not in keys}
    return replace(known, settled=content["mark"], unsettled=None, refused=refused | failed)


def _with_lesson(known: Known, content: Content, _answer: Content, _at: datetime) -> Known:
    refused = {key: why for key, why in known.refused.items() if key not in content.get("keys", ())}
    return replace(known, lesson=content.get("file"), refused=refused, refused_lesson=None)


def _listed(known: Known, _content: Content, answer: Content, at: datetime) -> Known:
    apps = tuple(answers.read_installed_applications(answer))
    ours = app_progress.listed(known.apps_of_ours, {one["id"] for one in apps}, at)
    return replace(known, apps=apps, apps_of_ours=ours, has_listed=True)


def _informed(known: Known, _content: Content, answer: Content, _at: datetime) -> Known:
    told = answers.read_device_information(answer)
    # Its reports speak of its system too, some late: the last word counts.
    return replace(known, information=told, status=replace(known.status, os_version=told.os_version))


def _managed(known: Known, _content: Content, answer: Content, at: datetime) -> Known:
    states = answers.read_managed_applications(answer)
    return replace(known, apps_of_ours=app_progress.told(known.apps_of_ours, states, at))


def _certified(known: Known, answer: Content) -> Known:
    told = [one for one in answers.read_certificates(answer) if one.is_identity]
    ends = max((one.expires_at for one in told if one.expires_at is not None), default=None)
    return replace(known, has_identity=bool(told), certificate_expires_at=ends)


_READ: Mapping[str, Callable[[Known, Content, Content, datetime], Known]] = MappingProxyType(
    {
        requests.INSTALL: _with_lesson,
        requests.REMOVE: lambda known, _content, _answer, _at: known.without_lesson(),
        requests.CLOSE: lambda known, _content, _answer, _at: known.closed(is_lost=True),
        requests.OPEN: lambda known, _content, _answer, _at: known.closed(is_lost=False),
        requests.SETTINGS: _settled,
        requests.DECLARE: lambda known, _content, _answer, _at: known,
        requests.INFORMATION: _informed,
        requests.SECURITY: lambda known, _content, answer, _at: replace(
            known, security=answers.read_security_info(answer)
        ),
        requests.APPS: _listed,
        requests.OUR_APPS: _managed,
        requests.CERTIFICATES: lambda known, _content, answer, _at: _certified(known, answer),
        requests.INSTALL_APP: lambda known, content, answer, at: replace(
            known, apps_of_ours=app_progress.asked(known.apps_of_ours, content, answer, at)
        ),
    }
)
# What leads to what the tablet shall have: refused, it is tried again.
_LEADING = frozenset({requests.INSTALL, requests.DECLARE, requests.SETTINGS, requests.CLOSE, requests.OPEN})
