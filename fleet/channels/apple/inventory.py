"""What is known of a tablet: told piece by piece, in answers and status reports, and kept together beside its client.

Only what has a purpose is kept. From it our report is made, which is like that of any other tablet.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
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
        settled: digest of what was last set by a command.
        refused: settings that commands carry and that were not carried out, and why.
        tries: how often in a row it did not do what leads to what it shall have.
    """

    information: DeviceInformation = field(default_factory=DeviceInformation)
    security: SecurityInformation = field(default_factory=SecurityInformation)
    apps: tuple[Mapping[str, str], ...] = ()
    status: Status = field(default_factory=Status)
    applied: str | None = None
    lesson: str | None = None
    settled: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    tries: int = 0

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

    def closed(self, *, is_lost: bool) -> "Known":
        """Return it in lost mode, or out of it."""
        return replace(self, information=replace(self.information, is_lost=is_lost))

    def with_answer(self, done: Command, answer: Mapping[str, Any]) -> "Known | None":
        """Return what is known after a command was carried out; None where that tells nothing."""
        if done.kind not in _READ:
            return None
        told = _READ[done.kind](self, done.content or {}, answer)
        return replace(told, tries=0) if done.kind in _LEADING else told

    def with_refusal(self, done: Command) -> "Known | None":
        """Return what is known after a command was refused; None where nothing depends on it."""
        if done.kind not in _LEADING:
            return None
        keys = (done.content or {}).get("keys", ())
        return replace(
            self, tries=self.tries + 1, refused={**self.refused, **dict.fromkeys(keys, done.detail or done.kind)}
        )  # fmt: skip

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
            "passcode_present": next((one for one in passcode if one is not None), None),
        }
        facts = {
            "os_version": self.status.os_version or told.os_version,
            "model": self.status.model or told.model,
            "storage_total_bytes": told.storage_total_bytes,
            "apps": [dict(one) for one in self.apps],
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


def _settled(known: Known, content: Mapping[str, Any], answer: Mapping[str, Any]) -> Known:
    """Return what is known after something was set by a command, or tried: the answer speaks of each item."""
    keys = [*content["keys"]]
    done = answers.read_settings(answer) or (True,) * len(keys)
    failed = {key: requests.SETTINGS for key, is_set in zip(keys, done, strict=False) if key and not is_set}
    refused = {key: why for key, why in known.refused.items() if key not in keys}
    return replace(known, settled=content["mark"], refused=refused | failed)


def _with_lesson(known: Known, content: Mapping[str, Any], _answer: Mapping[str, Any]) -> Known:
    refused = {key: why for key, why in known.refused.items() if key not in content.get("keys", ())}
    return replace(known, lesson=content.get("file"), refused=refused)


_Read = Callable[[Known, Mapping[str, Any], Mapping[str, Any]], Known]
_READ: Mapping[str, _Read] = MappingProxyType(
    {
        requests.INSTALL: _with_lesson,
        requests.REMOVE: lambda known, _content, _answer: known.without_lesson(),
        requests.CLOSE: lambda known, _content, _answer: known.closed(is_lost=True),
        requests.OPEN: lambda known, _content, _answer: known.closed(is_lost=False),
        requests.SETTINGS: _settled,
        requests.DECLARE: lambda known, _content, _answer: known,
        requests.INFORMATION: lambda known, _content, answer: replace(
            known, information=answers.read_device_information(answer)
        ),
        requests.SECURITY: lambda known, _content, answer: replace(known, security=answers.read_security_info(answer)),
        requests.APPS: lambda known, _content, answer: replace(
            known, apps=tuple(answers.read_installed_applications(answer))
        ),
    }
)
# What leads to what the tablet shall have: refused, it is tried again.
_LEADING = frozenset({requests.INSTALL, requests.DECLARE, requests.SETTINGS, requests.CLOSE, requests.OPEN})
