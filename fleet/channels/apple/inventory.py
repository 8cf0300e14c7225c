"""What is known of a tablet: told piece by piece, in answers and status reports, and kept together beside its client.

Only what has a purpose is kept. From it our report is made, which is like that of any other tablet.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from fleet.channels.apple import answers, requests
from fleet.channels.apple.answers import DeviceInformation, SecurityInformation
from fleet.channels.apple.status import Status, merged
from fleet.checkins.receive import Report
from fleet.mdm.models import Client, Command


@dataclass(frozen=True, slots=True)
class Known:
    """What a tablet has told.

    Args:
        information: what it is.
        security: of its passcode.
        apps: what is installed, as {"id", "version"}.
        status: its status reports together.
        applied: digest of the effective profile that is in force; None where none of ours is.
        lesson: digest of the lesson's profile that was put on top last; None where it was taken away.
    """

    information: DeviceInformation = field(default_factory=DeviceInformation)
    security: SecurityInformation = field(default_factory=SecurityInformation)
    apps: tuple[Mapping[str, str], ...] = ()
    status: Status = field(default_factory=Status)
    applied: str | None = None
    lesson: str | None = None

    @classmethod
    def read(cls, kept: Mapping[str, Any] | None) -> "Known":
        """Return what :meth:`written` kept; nothing where nothing was."""
        return msgspec.convert(kept, cls) if kept else cls()

    def written(self) -> dict[str, Any]:
        """Return it as plain data."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    def with_status(self, told: Status) -> "Known":
        """Return what is known after a status report."""
        return replace(self, status=merged(self.status, told))

    def with_applied(self, digest: str | None) -> "Known":
        """Return it with another profile in force."""
        return replace(self, applied=digest)

    def without_lesson(self) -> "Known":
        """Return it once the lesson's profile has gone by its own clock."""
        return replace(self, lesson=None)

    def with_answer(self, done: Command, answer: Mapping[str, Any]) -> "Known | None":
        """Return what is known after a command was carried out; None where that tells nothing."""
        kind = done.kind
        if kind == requests.INSTALL:
            return replace(self, lesson=(done.content or {}).get("file"))
        if kind == requests.REMOVE:
            return self.without_lesson()
        if kind == requests.INFORMATION:
            return replace(self, information=answers.read_device_information(answer))
        if kind == requests.SECURITY:
            return replace(self, security=answers.read_security_info(answer))
        if kind == requests.APPS:
            return replace(self, apps=tuple(answers.read_installed_applications(answer)))
        return None

    def report(self, client: Client, *, failures: Sequence[Mapping[str, str]], sequence: int) -> Report:
        """Return it as our report.

        Args:
            client: whose it is.
            failures: settings that were refused.
            sequence: the next of the tablet.
        """
        told = self.information
        passcode = (self.status.is_passcode_present, self.security.is_passcode_present)
        flags = {
            "supervised": told.is_supervised,
            "passcode_present": next((one for one in passcode if one is not None), None),
        }
        facts = {
            "os_version": self.status.os_version or told.os_version,
            "model": self.status.model or told.model,
            "storage_total_bytes": told.storage_total_bytes,
            "apps": [dict(one) for one in self.apps],
            "flags": {name: value for name, value in flags.items() if value is not None},
        }
        content = msgspec.json.encode([facts, self.applied, list(failures)], order="sorted")
        return Report(
            device_id=client.device_id,
            key=client.thumbprint,
            sequence=sequence,
            report_id=str(uuid.uuid4()),
            body_digest=hashlib.sha256(content).hexdigest(),
            applied=self.applied,
            facts=facts,
            failures=list(failures),
            battery_percent=told.battery_percent,
            storage_free_bytes=told.storage_free_bytes,
        )
