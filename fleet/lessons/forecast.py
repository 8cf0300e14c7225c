"""What will arrive when a lesson begins: told before it does, compared with what came, and learned from.

The model is beta-binomial, with priors learned from the data (empirical Bayes). How a tablet stands (:class:`Kind`:
holds a request open, asks soon, fell asleep …) says what share of tablets like it arrives within :data:`FORECAST_S`.
That share is counted per school; where a school has counted little, it leans on the other schools', and those on
:data:`_EXPECTED`. The share is the mean of a Beta distribution, from which each tablet has a probability of its own;
what this tablet did in earlier lessons when it stood the same way moves the forecast from the share towards its own
rate, the more the more often it was seen:

    forecast = (weight * share + arrived) / (weight + tried)

the mean of the posterior Beta(weight * share + arrived, weight * (1 - share) + tried - arrived).

Source: Casella, "An Introduction to Empirical Bayes Data Analysis", The American Statistician 39 (1985);
Gelman et al., "Bayesian Data Analysis", chapter 5 (rates of many groups).

Not here: what became of the forecasts (:mod:`fleet.lessons.calibration`).
"""

import enum
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from fleet.db import db, id_set
from fleet.devices.models import DevicePresence
from fleet.lessons.models import ArrivalRecord, LessonTablet

FORECAST_S = 15  # arrived means: within so many seconds of the start


class Kind(enum.StrEnum):
    """How a tablet stands when a lesson is to begin."""

    WAITING = "waiting"  # holds a request open and hears at once
    SOON = "soon"  # asks by itself, in time
    LATER = "later"  # asks by itself, too late
    LATE = "late"  # should have asked some moments ago
    ASLEEP = "asleep"  # should have asked some minutes ago
    SILENT = "silent"  # heard from today, but long ago
    NOT_TODAY = "not-today"
    NEVER = "never"
    ELSEWHERE = "elsewhere"  # asks, but from outside the school's networks


@dataclass(frozen=True, slots=True)
class Contact:
    """What is noted of a tablet's last question (:class:`DevicePresence`); ``polled_at`` None: it never asked."""

    polled_at: datetime | None
    due_at: datetime | None
    waits: bool
    is_at_school: bool | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a tablet stands, and with what probability, 1 to 99 percent, it arrives in time."""

    kind: str
    percent: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A class's forecasts together: ``expected`` of ``count`` tablets; ``doubtful`` are the ids of those under 50 %."""

    expected: int
    count: int
    doubtful: list[int]


@dataclass(frozen=True, slots=True)
class Record:
    """How often was tried, and how often it arrived in time; weights, as older outcomes may count for less."""

    tried: float = 0.0
    arrived: float = 0.0

    def share(self, prior: float, weight: float) -> float:
        """Return the rate that this record and a prior, worth ``weight`` tries, make together."""
        return (weight * prior + self.arrived) / (weight + self.tried)


# What is expected before anything has been counted.
_EXPECTED: Mapping[str, float] = {
    Kind.WAITING: 0.93, Kind.SOON: 0.85, Kind.LATER: 0.05, Kind.LATE: 0.35, Kind.ASLEEP: 0.2, Kind.SILENT: 0.08,
    Kind.NOT_TODAY: 0.03, Kind.NEVER: 0.02, Kind.ELSEWHERE: 0.02,
}  # fmt: skip
_EXPECTED_WEIGHT = 20.0  # tries that the expectation is worth beside what all schools counted
_OTHERS_WEIGHT = 40.0  # tries that the other schools are worth beside the school's own
_KIND_WEIGHT = 6.0  # tries that the kind's share is worth beside the tablet's own

_LOOKED_BACK = 30  # of a tablet's lessons
_LOOKED_BACK_FOR = timedelta(days=60)

# A question is noted some seconds after it came; and while nothing changes, one a minute is noted at most.
_NOTED_AFTER = timedelta(seconds=6)
_NOTED_EVERY = timedelta(seconds=60)
_LATE_FOR = timedelta(minutes=3)
_ASLEEP_FOR = timedelta(hours=1)
_ON_THE_WAY = timedelta(seconds=3)  # from a tablet's question to the news that it has what it got
_HORIZON = timedelta(seconds=FORECAST_S)
_SHORTEST = timedelta(seconds=1)


def kind_of(contact: Contact, *, now: datetime, today_began_at: datetime) -> str:
    """Return how a tablet stands.

    Args:
        contact: what is noted of its last question. One from the future was noted by a server whose clock is ahead, and
            counts as asked just now.
        now: the instant.
        today_began_at: midnight, in the school's local time.
    """
    if contact.polled_at is None or contact.due_at is None:
        return Kind.NEVER
    if contact.polled_at < today_began_at:
        return Kind.NOT_TODAY
    interval = max(contact.due_at - contact.polled_at, _SHORTEST)
    left = min(contact.polled_at, now) + interval - now
    overdue = -left - _NOTED_AFTER - (_NOTED_EVERY if interval < _NOTED_EVERY else timedelta(0))
    if overdue > timedelta(0):
        return Kind.LATE if overdue <= _LATE_FOR else Kind.ASLEEP if overdue <= _ASLEEP_FOR else Kind.SILENT
    if contact.is_at_school is False:
        return Kind.ELSEWHERE
    if contact.waits:
        return Kind.WAITING
    # Where the last question may be one that is not noted, it asks on in the same rhythm.
    return Kind.SOON if left % interval <= _HORIZON - _ON_THE_WAY else Kind.LATER


def forecasts(device_ids: Collection[int], *, school_id: int, now: datetime, timezone: ZoneInfo) -> dict[int, Forecast]:
    """Return a forecast for each tablet, should a lesson begin now; three statements.

    Args:
        device_ids: the tablets.
        school_id: whose lesson it is.
        now: the instant.
        timezone: the schools' local time.
    """
    today_began_at = datetime.combine(now.astimezone(timezone).date(), time(), timezone)
    contacts = _contacts(device_ids)
    shares, own = _shares(school_id), own_records(device_ids, now=now)
    found = {}
    for device_id in device_ids:
        kind = kind_of(contacts.get(device_id, _NO_CONTACT), now=now, today_began_at=today_began_at)
        probability = own.get((device_id, kind), _NO_RECORD).share(shares[kind], _KIND_WEIGHT)
        found[device_id] = Forecast(kind, min(max(round(100 * probability), 1), 99))
    return found


def summary(found: Mapping[int, Forecast]) -> Summary:
    """Return what to tell a teacher before the start."""
    doubtful = sorted(device_id for device_id, forecast in found.items() if forecast.percent < 50)
    return Summary(round(sum(forecast.percent for forecast in found.values()) / 100), len(found), doubtful)


_NO_CONTACT = Contact(None, None, waits=False, is_at_school=None)
_NO_RECORD = Record()


def _contacts(device_ids: Collection[int]) -> dict[int, Contact]:
    noted = DevicePresence
    query = select(noted.device_id, noted.polled_at, noted.due_at, noted.waits, noted.is_at_school)
    rows = db.session.execute(query.where(noted.device_id.in_(id_set(device_ids))))
    return {row[0]: Contact(*row[1:]) for row in rows}


def _shares(school_id: int) -> dict[str, float]:
    """Return by kind the share that arrives at a school; one statement."""
    own: dict[str, Record] = {}
    others: dict[str, Record] = defaultdict(Record)
    is_own = (ArrivalRecord.school_id == school_id).label("is_own")
    sums = (func.sum(ArrivalRecord.tried), func.sum(ArrivalRecord.arrived))
    for kind, here, tried, arrived in db.session.execute(
        select(ArrivalRecord.kind, is_own, *sums).group_by(ArrivalRecord.kind, is_own)
    ):
        (own if here else others)[kind] = Record(tried, arrived)
    shares = {}
    for kind, expected in _EXPECTED.items():
        everywhere = others[kind].share(expected, _EXPECTED_WEIGHT)
        shares[kind] = own.get(kind, _NO_RECORD).share(everywhere, _OTHERS_WEIGHT)
    return shares


def own_records(device_ids: Collection[int], *, now: datetime) -> dict[tuple[int, str], Record]:
    """Return by tablet and kind what came of its last lessons' forecasts; one statement."""
    order = func.row_number().over(partition_by=LessonTablet.device_id, order_by=LessonTablet.id.desc())
    last = (
        select(LessonTablet.device_id, LessonTablet.forecast_kind, LessonTablet.is_in_time, order.label("number"))
        .where(
            LessonTablet.device_id.in_(id_set(device_ids)),
            LessonTablet.is_in_time.is_not(None),
            LessonTablet.counted_at > now - _LOOKED_BACK_FOR,
        )
        .subquery()
    )
    arrived = func.count().filter(last.c.is_in_time.is_(True))
    query = (
        select(last.c.device_id, last.c.forecast_kind, func.count(), arrived)
        .where(last.c.number <= _LOOKED_BACK)
        .group_by(last.c.device_id, last.c.forecast_kind)
    )
    return {(device_id, kind): Record(tried, came) for device_id, kind, tried, came in db.session.execute(query)}
