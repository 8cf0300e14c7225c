"""Figures of each municipality and of all together, with nothing in them that could be traced to a class or child.

Invariants: what is read is counted in the database; no name, serial or text that a tablet told leaves it. A figure of
fewer than :data:`SMALL`, or one that leaves fewer than that out of the whole, is not told; parts that are small are
told together, and where these are small together the next larger part with them, so that no subtraction among them, or
from how many a system has in all, gives them away; nor does one among all, those in order and those silent. Sums are of
what is told, for the same reason. Not kept: channels and systems part the same tablets in two ways, and where most of a
system are on one channel the difference of the two figures may be a few.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, case, func, select

from fleet.checkins.models import CheckIn
from fleet.compliance.models import OF_SILENCE, Finding
from fleet.db import db
from fleet.devices.models import Device, DeviceLife, DeviceState, Enrolment, Platform

SMALL = 5
OTHER = "other"
_DAYS = 7
_IN_USE = Device.life == DeviceLife.ENROLLED


@dataclass(frozen=True, slots=True)
class Figures:
    """What is told of tablets in use; None of a number: it is not told.

    Args:
        tablets: how many there are.
        silent: how many have not been heard from for longer than was to be expected.
        compliant: how many have no open finding.
        check_ins_per_day: how many check-ins a day, the mean of the last seven whole days.
        channels: how many by channel.
        systems: how many by system and its main version.
        rated: among how many of the tablets ``compliant`` was counted.
    """

    tablets: int | None
    silent: int | None
    compliant: int | None
    check_ins_per_day: int | None
    channels: Mapping[str, int]
    systems: Mapping[str, int]
    rated: int | None

    @property
    def compliant_percent(self) -> float | None:
        """How many of a hundred have no open finding, to one decimal."""
        return round(100 * self.compliant / self.rated, 1) if self.compliant is not None and self.rated else None

    def flat(self) -> Mapping[str, int | float | None]:
        """Return every figure under a name of its own."""
        plain = {name: getattr(self, name) for name in ("tablets", "silent", "compliant", "compliant_percent")}
        return {
            **plain,
            "check_ins_per_day": self.check_ins_per_day,
            **{f"channel {name}": count for name, count in self.channels.items()},
            **{f"system {name}": count for name, count in self.systems.items()},
        }


def count(*, now: datetime, timezone: ZoneInfo) -> Figures:
    """Return the figures of the running application's municipality, to be told; four statements.

    Args:
        now: the instant.
        timezone: the schools'.
    """
    is_silent = select(Finding.id).where(Finding.device_id == Device.id, Finding.kind.in_(OF_SILENCE), Finding.stands())
    flags = (is_silent.exists(), ~DeviceState.has_findings)
    sums = (func.coalesce(func.sum(case((one, 1), else_=0)), 0) for one in flags)
    query = select(func.count(), *sums).select_from(Device).join(Device.state).where(_IN_USE)
    tablets, silent, compliant = map(int, db.session.execute(query).one())
    if tablets < SMALL:
        return Figures(None, None, None, None, {}, {}, None)
    told = part(compliant, of=tablets)
    other_findings = tablets - compliant - silent  # who is silent is not in order
    silent_told = part(silent, of=tablets) if other_findings == 0 or other_findings >= SMALL else None
    check_ins = db.session.scalar(_check_ins(now.astimezone(timezone).date(), timezone)) or 0
    return Figures(
        tablets, silent_told, told, round(check_ins / _DAYS), together(_channels()),
        together(_systems()), tablets if told is not None else None,
    )  # fmt: skip


def _channels() -> Mapping[str, int]:
    is_open = and_(Enrolment.device_id == Device.id, Enrolment.ended_at.is_(None))
    query = select(Enrolment.channel, func.count()).select_from(Device).outerjoin(Enrolment, is_open).where(_IN_USE)
    return {channel or OTHER: number for channel, number in db.session.execute(query.group_by(Enrolment.channel))}


def _systems() -> Mapping[str, int]:
    version = DeviceState.facts["os_version"].as_string().label("version")
    each = select(Device.platform, version).join(Device.state).where(_IN_USE).subquery()
    query = select(each.c.platform, each.c.version, func.count()).group_by(each.c.platform, each.c.version)
    found: dict[Platform, Counter[str]] = {}
    for platform, told, number in db.session.execute(query):
        found.setdefault(platform, Counter())[_system(platform, told)] += number
    return systems(found)


def _check_ins(today: date, timezone: ZoneInfo) -> Select[Any]:
    since, until = (datetime.combine(on, time(), timezone) for on in (today - timedelta(days=_DAYS), today))
    return select(func.count()).where(CheckIn.received_at >= since, CheckIn.received_at < until)


def _system(platform: Platform, told: str | None) -> str:
    """Return a system and its main version; what else a tablet told of it is not for others."""
    main = re.match(r"\d{1,3}(?!\d)", told or "")
    return f"{platform.value} {main[0]}" if main else platform.value


def part(number: int, *, of: int) -> int | None:
    """Return a part of a whole if it can be told: nothing, all, or neither few nor all but few."""
    return number if number in {0, of} or min(number, of - number) >= SMALL else None


def systems(counts: Mapping[Platform, Mapping[str, int]]) -> dict[str, int]:
    """Return systems' versions, the small ones of a system as the system: how many it has in all may be known."""
    folded: dict[str, int] = {}
    for platform, versions in counts.items():
        folded |= together(versions, rest=platform.value)
    return folded


def together(counts: Mapping[str, int], *, rest: str = OTHER) -> dict[str, int]:
    """Return parts of a whole that may be told, the largest first, small ones as one that is called ``rest``."""
    told, other = dict(counts), 0
    for name, number in sorted(counts.items(), key=lambda one: one[1]):
        if number >= SMALL and (not other or other >= SMALL):
            break
        other += told.pop(name)
    if other:
        told[rest] = told.get(rest, 0) + other
    return dict(sorted(told.items(), key=lambda one: (-one[1], one[0])))


def total(told: Sequence[Figures]) -> Figures:
    """Return the sums of what is told of municipalities."""
    channels: Counter[str] = Counter()
    systems: Counter[str] = Counter()
    for one in told:
        channels.update(one.channels)
        systems.update(one.systems)

    def summed(name: str) -> int:
        return sum(getattr(one, name) or 0 for one in told)

    return Figures(
        summed("tablets"), summed("silent"), summed("compliant"), summed("check_ins_per_day"),
        dict(channels.most_common()), dict(systems.most_common()), summed("rated"),
    )  # fmt: skip
