"""What a lean tablet makes of its configuration: which profile is due, whether its body is here, the next switch."""

from datetime import UTC, datetime

import msgspec

from agent_protocol.messages import ConfigAnswer, ConfigDocument
from school_day.wire import Answer

_ANSWER, _DOCUMENT = msgspec.json.Decoder(ConfigAnswer), msgspec.json.Decoder(ConfigDocument)
_BASE64 = msgspec.json.Decoder(bytes)


class Following:
    """The configuration that a tablet follows, and what of it is in force.

    Attributes:
        etag: of the configuration.
        config: None before the first.
        missing: digests of profiles whose bodies are to be fetched before anything is applied.
        applied: the profile in force, by digest.
        applied_at: since when, as it is reported.
    """

    __slots__ = ("_bodies", "applied", "applied_at", "config", "etag", "missing")

    def __init__(self) -> None:
        self.etag = '"none"'
        self.config: ConfigDocument | None = None
        self.missing: list[str] = []
        self.applied: str | None = None
        self.applied_at: str | None = None
        self._bodies: set[str] = set()

    def take(self, answer: Answer) -> ConfigAnswer:
        """Follow what a poll was answered; returns it, to be verified."""
        given = _ANSWER.decode(answer.body)
        self.config = _DOCUMENT.decode(_BASE64.decode(b'"%b"' % given.payload.encode()))
        self.etag = answer.header(b"etag") or self.etag
        self._bodies |= given.profiles.keys()
        self.missing = [one.profile for one in self.config.schedule if one.profile not in self._bodies]
        return given

    def have(self, digest: str) -> None:
        """Note that a body was fetched."""
        self._bodies.add(digest)
        self.missing = [one for one in self.missing if one != digest]

    def switch(self, now: datetime) -> bool:
        """Put into force what is due by the schedule, once all of it is here; returns whether it is another now."""
        if self.config is None or self.missing:
            return False
        due = next(one.profile for one in self.config.schedule if one.until is None or now < one.until)
        if due == self.applied:
            return False
        self.applied, self.applied_at = due, now.astimezone(UTC).isoformat()
        return True

    def switch_in_s(self, now: datetime) -> float | None:
        """Return in how many seconds the schedule has the next switch; None where it has none."""
        if self.config is None:
            return None
        ends = (one.until for one in self.config.schedule if one.until is not None and one.until > now)
        until = next(ends, None)
        return None if until is None else (until - now).total_seconds() + 0.01
