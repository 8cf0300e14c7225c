"""What a tablet follows: its newest configuration, the bodies of its profiles, and which of them is in force.

Invariants: a profile is in force only after it was verified, and what the server will be told is stored first; a
configuration that is refused changes nothing; switching needs no server. Nothing here sends anything: who follows
fetches the bodies. All instants are by the corrected clock.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent_protocol import envelopes
from agent_protocol.client import version_of
from agent_protocol.device import AGENT_VERSION, Device
from agent_protocol.envelopes import TrustedRoot
from agent_protocol.errors import UntrustedError
from agent_protocol.messages import ConfigAnswer, ConfigDocument, Envelope, RootDocument, ScheduleEntry, decode
from agent_protocol.store import Memory, Store


class Following:
    """The configuration of one tablet, and what it has made of it.

    Args:
        store: where bodies live and the memory is kept.
        memory: the session's memory.
        device: the tablet.
    """

    def __init__(self, store: Store, memory: Memory, device: Device) -> None:
        self._store, self._memory, self._device = store, memory, device
        self.flags: set[str] = set()
        self.config: ConfigDocument | None = None
        self.root: TrustedRoot | None = None
        if memory.root is not None:
            self.root = TrustedRoot(decode(RootDocument, envelopes.payload_of(memory.root)), memory.root)
        if memory.config is not None:
            self.config = decode(ConfigDocument, envelopes.payload_of(memory.config))

    def start_over(self, root: TrustedRoot) -> None:
        """Trust a new root document, of a new enrolment, and await its configuration."""
        self.root, self.config = root, None
        self._memory.root = root.envelope
        self._memory.config = self._memory.etag = None

    def _entry_at(self, config: ConfigDocument, instant: datetime) -> ScheduleEntry:
        return next(entry for entry in config.schedule if entry.until is None or instant < entry.until)

    def ends_at(self, instant: datetime) -> datetime | None:
        """Return until when what is due at ``instant`` holds, None where it has no end."""
        return self._entry_at(self.config, instant).until if self.config is not None else None

    def known_etag(self, instant: datetime) -> str | None:
        """Return the ETag to ask with: none where the profile that is due is neither in force nor at hand.

        A disk has lost it then, and has to be given everything again.
        """
        if self.config is None:
            return None
        due = self._entry_at(self.config, instant).profile
        return self._memory.etag if due == self._memory.applied or self._body(due) is not None else None

    def accept(
        self,
        answer: ConfigAnswer,
        etag: str | None,
        *,
        thumbprint: str,
        instant: datetime,
        fetch: Callable[[str], bytes],
    ) -> bool:
        """Follow a new configuration, if it is sound and its profiles can be had; returns whether it is followed.

        Args:
            answer: as received.
            etag: its name.
            thumbprint: the tablet's key.
            instant: now.
            fetch: gets a body that did not come along; may raise whatever ends the attempt.
        """
        assert self.root is not None  # noqa: S101 (enrolled tablets have pinned one)
        envelope = Envelope(answer.payload_type, answer.payload, answer.signatures)
        device_id = self._memory.device_id or ""
        try:
            config = self.root.accept_config(
                envelope, device_id=device_id, key_thumbprint=thumbprint, newest=self.config
            )
            wanted = [entry for entry in config.schedule if entry.until is None or entry.until > instant]
            for entry in wanted:
                self._obtain(entry, answer.profiles, fetch)
        except UntrustedError as error:
            self.flags.add(f"config-{error.reason}")
            return False
        self.forget_flags("config-", "agent-")
        self.config = config
        self.flags |= {"agent-too-old"} if version_of(config.min_agent) > version_of(AGENT_VERSION) else set()
        self._memory.config, self._memory.etag = envelope, etag
        self._store.save(self._memory)
        in_force = {self._memory.applied} if self._memory.applied is not None else set()
        self._store.keep_only({entry.profile for entry in wanted} | in_force)
        return True

    def forget_flags(self, *kinds: str) -> None:
        """Drop the flags that begin with one of ``kinds``."""
        self.flags = {flag for flag in self.flags if not flag.startswith(kinds)}

    def _obtain(self, entry: ScheduleEntry, beside: Mapping[str, str], fetch: Callable[[str], bytes]) -> None:
        """Have the body of an entry: the one at hand, else the one that came along, else one that is fetched.

        Raises:
            UntrustedError: ``forged`` or ``malformed``.
        """
        if self._body(entry.profile) is not None:
            return
        body = beside.get(entry.profile, "").encode()
        if not _is_body_of(entry, body):  # nobody signed what came along
            body = fetch(entry.profile)
        if not _is_body_of(entry, body):
            raise UntrustedError("forged")
        if _settings(body) is None:
            raise UntrustedError("malformed")
        self._store.put_body(entry.profile, body)

    def _body(self, digest: str) -> bytes | None:
        """Return a profile's body if it is here, and as it was."""
        body = self._store.body(digest)
        return body if body is not None and hashlib.sha256(body).hexdigest() == digest else None

    def switch(self, instant: datetime) -> None:
        """Put the profile into force that is due at ``instant``."""
        if self.config is None:
            return
        if self.config.expires_at <= instant:
            self.flags.add("expired")
        else:
            self.flags.discard("expired")
        due = self._entry_at(self.config, instant).profile
        settings = _settings(self._body(due) or b"") if due != self._memory.applied else None
        if settings is None:
            return
        self._memory.applied = None  # whoever wakes after a crash in between knows that nothing whole is in force
        self._store.save(self._memory)
        failures = self._device.apply(due, settings)
        self._memory.applied, self._memory.applied_since = due, instant.astimezone(UTC)
        self._memory.failures = [(failure.key, failure.reason) for failure in failures]
        self._store.save(self._memory)


def _is_body_of(entry: ScheduleEntry, body: bytes) -> bool:
    return len(body) == entry.length and hashlib.sha256(body).hexdigest() == entry.profile


def _settings(body: bytes) -> dict[str, Any] | None:
    """Return a profile's settings, None where ``body`` is no profile."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
