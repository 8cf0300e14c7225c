"""What the native channel asks of the domain, a batch at a time, each in one unit of work in a thread.

Translation only: rows and answers of the domain on one side, messages of the protocol on the other.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from msgspec import Struct

from agent_protocol import envelopes
from agent_protocol.errors import Code, ProtocolError
from agent_protocol.messages import (
    CONFIG_TYPE,
    SPEC,
    ConfigAnswer,
    ConfigDocument,
    EnrolmentRequest,
    Order,
    OrderResult,
    Role,
    ScheduleEntry,
    encode,
)
from agent_protocol.messages import Report as WireReport
from fleet import orders
from fleet.assignments import bodies, schedules
from fleet.channels import reporting
from fleet.channels.native.authority import Authority
from fleet.checkins import polls
from fleet.checkins import receive as checkins
from fleet.checkins.polls import Standing
from fleet.checkins.receive import Answer, Report
from fleet.db import reading, transaction
from fleet.devices import enrolment, queries
from fleet.devices.enrolment import Enrolled, Refused
from fleet.devices.models import Platform
from fleet.errors import FleetError
from profiles.key import NATIVE
from profiles.vocabulary import VOCABULARY

CONFIG_LIFE = timedelta(days=21)
WINDOW_S = 7 * 86_400
# What a configuration may hold (messages.ConfigDocument), and no more orders than fit into a message of the protocol
# with their longest texts. Later orders follow when earlier ones have ended; later entries when the configuration is
# renewed, once a window.
_ORDERS_AT_ONCE, _ENTRIES_AT_ONCE = 50, 200
# Bodies that ride along, so that a tablet that was rung need not ask again: of what comes so soon, and so many bytes.
_BODIES_AHEAD, _BODIES_AT_ONCE_BYTES = timedelta(hours=12), 32 * 1024
# Refused enrolments that this process notes in the audit: anybody may ask for as many as he likes.
_NOTED_AT_MOST, _NOTED_WITHIN = 60, timedelta(minutes=1)
_PLATFORMS = {"linux": Platform.LINUX, "android": Platform.ANDROID, "ipados": Platform.IPADOS}


class PollItem(Struct, frozen=True):
    """A tablet's poll: which tablet, which key, what it has."""

    device_id: int
    key: str
    etag: str | None


class Config(Struct, frozen=True):
    """What a poll gets: the ETag, and the signed configuration where the tablet has another.

    Args:
        etag: names the configuration.
        envelope: it, None where the tablet has it.
        version: of it.
        switch_at: when its schedule moves on by itself.
        is_new: whether it was not handed out before.
    """

    etag: str
    envelope: bytes | None
    version: int
    switch_at: datetime | None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class ResultItem:
    """A tablet's word on an order."""

    device_id: int
    key: str
    sequence: int
    order: str
    result: OrderResult


def etag_of(device_id: int, version: int, now: datetime) -> str:
    """Return the configuration's ETag: version and renewal window, the latter shifted by the tablet's number."""
    offset = device_id * 2_654_435_761 % WINDOW_S  # Knuth's multiplicative hash spreads neighbours over the week
    return f'"{version}-{(int(now.timestamp()) + offset) // WINDOW_S}"'


class Work:
    """The channel's units of work.

    Args:
        app: the application.
        authority: the keys to sign with.
        now: the clock.
        report_s: seconds between reports, told in configurations.
    """

    def __init__(self, app: Flask, authority: Authority, now: Callable[[], datetime], *, report_s: int) -> None:
        self._app = app
        self._authority = authority
        self._now = now
        self._report_s = report_s
        self._noted: deque[datetime] = deque(maxlen=_NOTED_AT_MOST)

    def keys(self, thumbprints: Sequence[str]) -> Sequence[tuple[int, ec.EllipticCurvePublicKey] | None]:
        """Return tablet and key for thumbprints, None where there is none."""
        with self._app.app_context(), reading():
            found = queries.keys(set(thumbprints))
        loaded: dict[str, tuple[int, ec.EllipticCurvePublicKey]] = {}
        for name, (device_id, der) in found.items():
            key = serialization.load_der_public_key(der)
            if isinstance(key, ec.EllipticCurvePublicKey):
                loaded[name] = (device_id, key)
        return [loaded.get(name) for name in thumbprints]

    def receive(self, batch: Sequence[Report]) -> Sequence[Answer | Exception]:
        """Store reports."""
        with self._app.app_context(), transaction():
            return reporting.receive("native", batch, now=self._now())

    def configs(self, batch: Sequence[PollItem]) -> Sequence[Config | Exception]:
        """Answer polls: most have what they shall have, the others get a freshly signed configuration."""
        now = self._now()
        with self._app.app_context():
            with reading(is_bare=True):
                standings = polls.standings([item.device_id for item in batch])
                outcomes = [self._standing(item, standings.get(item.device_id)) for item in batch]
                stale = {
                    one.device_id: one
                    for item, one in zip(batch, outcomes, strict=True)
                    if isinstance(one, Standing) and item.etag != etag_of(one.device_id, one.config_version, now)
                }
                documents, handed = self._documents(stale, now) if stale else ({}, [])
            fresh = {one.device_id: one.config_version for one in stale.values() if _is_new(one, documents)}
            if handed or fresh:
                with transaction():
                    if fresh:  # tablets' rows before orders'
                        polls.note_fetched(fresh, now=now)
                    orders.mark_sent(handed, now=now)
        return [
            one if isinstance(one, Exception) else _config(one, item.etag, stale, documents, now)
            for item, one in zip(batch, outcomes, strict=True)
        ]

    @staticmethod
    def _standing(item: PollItem, found: Standing | None) -> Standing | Exception:
        if found is None or found.key != item.key:
            return checkins.KeyRevokedError()
        return found

    def _documents(self, stale: dict[int, Standing], now: datetime) -> tuple[dict[int, bytes], list[int]]:
        entries = schedules.load([one.schedule_digest for one in stale.values() if one.schedule_digest is not None])
        plans = {digest: _plan(found, now) for digest, found in entries.items()}  # thousands share a few
        known = bodies.load({entry.profile for plan in plans.values() for entry in _soon(plan, now)})
        waiting = {
            device_id: found[:_ORDERS_AT_ONCE] for device_id, found in orders.pending(stale.keys(), now=now).items()
        }
        documents = {}
        for device_id, one in stale.items():
            plan = plans.get(one.schedule_digest or "")
            if plan is not None:
                profiles = _inline(_soon(plan, now), known, but=one.applied_digest)
                documents[device_id] = self._sign(one, plan, waiting.get(device_id, ()), profiles, now=now)
        handed = [
            order.id
            for device_id in documents
            for order in waiting.get(device_id, ())
            if order.state is orders.OrderState.QUEUED
        ]
        return documents, handed

    def _sign(
        self,
        one: Standing,
        plan: list[ScheduleEntry],
        waiting: Sequence[orders.Order],
        profiles: dict[str, str],
        *,
        now: datetime,
    ) -> bytes:
        document = ConfigDocument(
            spec=SPEC,
            role=Role.ASSIGNMENT,
            device_id=one.uid,
            key_thumbprint=one.key or "",
            version=one.config_version,
            issued_at=now,
            expires_at=now + CONFIG_LIFE,
            min_agent="1.0",
            schedule=plan,
            orders=[Order(order.uid, order.kind.value, order.payload, order.expires_at) for order in waiting],
            report_s=self._report_s,
        )
        signed = envelopes.sign(CONFIG_TYPE, encode(document), [self._authority.assignment])
        return encode(ConfigAnswer(signed.payload_type, signed.payload, signed.signatures, profiles))

    def body(self, device_id: int, key: str, digest: str) -> bytes | None:
        """Return a profile's body if it is in the tablet's own schedule."""
        with self._app.app_context(), reading():
            standing = polls.standings([device_id]).get(device_id)
            if standing is None or standing.key != key:
                raise checkins.KeyRevokedError
            return schedules.body(digest) if schedules.may_fetch(device_id, digest) else None

    def enrol(self, request: EnrolmentRequest, thumbprint: str, der: bytes) -> Enrolled | Refused:
        """Take a tablet in; the refusal is committed too, for its audit line, unless there were many of late."""
        platform = _PLATFORMS.get(request.platform)
        if platform is None:
            raise ProtocolError(Code.MALFORMED, detail=f"platform: one of {', '.join(_PLATFORMS)}")
        asked = enrolment.EnrolmentRequest(
            code=request.ticket,
            serial=request.serial,
            platform=platform,
            model=request.model,
            channel="native",
            key_thumbprint=thumbprint,
            public_key=der,
        )
        now = self._now()
        with self._app.app_context():
            if len(self._noted) == _NOTED_AT_MOST and now - self._noted[0] < _NOTED_WITHIN:
                with reading():
                    refusal = enrolment.turn_away(asked, now=now)
                if refusal is not None:
                    return refusal
            with transaction():
                outcome = enrolment.enrol(asked, now=now)
        if isinstance(outcome, Refused):
            self._noted.append(now)
        return outcome

    def finish(self, item: ResultItem) -> None:
        """Take a tablet's word on an order.

        Raises:
            FleetError: revoked, replayed, unknown or closed.
        """
        closed: FleetError | None = None
        with self._app.app_context(), transaction():
            checkins.use_sequence(item.device_id, item.key, item.sequence)
            state = orders.OrderState(item.result.state.value)
            try:
                orders.finish(
                    item.order, device_id=item.device_id, state=state, detail=item.result.detail, now=self._now()
                )
            except FleetError as error:  # the sequence stays used
                closed = error
        if closed is not None:
            raise closed


def _config(
    one: Standing, had: str | None, stale: Mapping[int, Standing], documents: Mapping[int, bytes], now: datetime
) -> Config | Exception:
    if had is not None and one.device_id not in stale:  # most have what they shall have
        return Config(had, None, one.config_version, one.next_switch_at)
    if one.device_id not in documents:  # a fault of ours, of this tablet alone
        return LookupError(f"no schedule {one.schedule_digest}")
    etag = etag_of(one.device_id, one.config_version, now)
    envelope = documents[one.device_id]
    return Config(etag, envelope, one.config_version, one.next_switch_at, _is_new(one, documents))


def _plan(entries: Sequence[Mapping[str, Any]], now: datetime) -> list[ScheduleEntry]:
    ahead = schedules.ahead(entries, now, at_most=_ENTRIES_AT_ONCE)
    return [msgspec.convert(entry, ScheduleEntry) for entry in ahead]


def _soon(plan: Sequence[ScheduleEntry], now: datetime) -> list[ScheduleEntry]:
    """Return the entries of a schedule whose profiles a tablet needs soon, and that are small enough to ride along."""
    return [
        entry
        for entry in plan
        if (entry.from_ is None or entry.from_ <= now + _BODIES_AHEAD) and entry.length <= _BODIES_AT_ONCE_BYTES
    ]


def _inline(soon: Sequence[ScheduleEntry], known: Mapping[str, str], *, but: str | None) -> dict[str, str]:
    """Return bodies that ride along, the nearest first, as many as there is room for; not the one in force."""
    found: dict[str, str] = {}
    left = _BODIES_AT_ONCE_BYTES
    for entry in soon:
        if entry.profile in known and entry.profile not in found and entry.profile != but and entry.length <= left:
            found[entry.profile] = known[entry.profile]
            left -= entry.length
    return found


def _is_new(one: Standing, documents: Mapping[int, bytes]) -> bool:
    """Whether what is handed out was not handed out before."""
    return one.device_id in documents and one.fetched_version != one.config_version


def _is_ours(key: str) -> bool:
    """Whether a setting that failed is one to obey here: profiles name what other channels enforce, too."""
    return key not in VOCABULARY or VOCABULARY[key].is_for(NATIVE)


def to_report(told: WireReport, *, device_id: int, key: str, sequence: int, body: bytes) -> Report:
    """Translate a report of the wire to ours."""
    return Report(
        device_id=device_id,
        key=key,
        sequence=sequence,
        report_id=told.report_id,
        body_digest=hashlib.sha256(body).hexdigest(),
        applied=told.applied.profile,
        facts={
            "os_version": told.os_version,
            "model": told.model,
            "agent_version": told.agent_version,
            "storage_total_bytes": told.storage_total_bytes,
            "apps": [{"id": app.id, "version": app.version} for app in told.apps],
            "attributes": told.attributes,
            "flags": told.flags,
        },
        failures=[{"key": one.key, "reason": one.reason} for one in told.failures if _is_ours(one.key)],
        battery_percent=told.battery_percent,
        storage_free_bytes=told.storage_free_bytes,
        clock_offset_s=told.clock_offset_s,
    )
