"""What will arrive when a lesson begins: told before it does, compared with what came, and learned from.

The model is beta-binomial, with priors learned from the data (empirical Bayes). How a tablet stands (:class:`Kind`:
holds a request open, asks soon, fell asleep …) says what share of tablets like it arrives within :data:`FORECAST_S`.
That share is counted per school; where a school has counted little, it leans on the other schools', and those on
:data:`_EXPECTED`. The share is the mean of a Beta distribution, from which each tablet has a probability of its own;
what this tablet did in earlier lessons when it stood the same way moves the forecast from the share towards its own
rate, the more the more often it was seen:

    probability = (weight * share + arrived) / (weight + tried)

the mean of the posterior Beta(weight * share + arrived, weight * (1 - share) + tried - arrived). The weight says how
alike a school's tablets are: great where all are as good as each other, small where each has its own ways. It is
learned too: each of :data:`WEIGHTS` is scored by the logarithm of the probability that it gave to what then came, and
a forecast is the mean of all, each counting by its score (Bayesian model averaging with equal priors).

Source: Gelman et al., "Bayesian Data Analysis", chapter 5 (rates of many groups); Casella, "An Introduction to
Empirical Bayes Data Analysis", The American Statistician 39 (1985); Hoeting et al., "Bayesian Model Averaging: A
Tutorial", Statistical Science 14 (1999).

Not here: what became of the forecasts (:mod:`fleet.lessons.calibration`).
"""

import enum
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from fleet.db import db, id_set
from fleet.devices.models import DevicePresence
from fleet.lessons import members
from fleet.lessons.models import ArrivalHabit, ArrivalRecord

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
class Known:
    """What is known of tablets of a school that stand in one way: the share that arrives, and the weights' scores."""

    share: float
    scores: tuple[float, ...]

    def probabilities(self, tried: float, arrived: float) -> list[float]:
        """Return for each of :data:`WEIGHTS` with what probability a tablet that has done so arrives."""
        found = [(weight * self.share + arrived) / (weight + tried) for weight in WEIGHTS]
        return [min(max(probability, _SURE), 1 - _SURE) for probability in found]

    def probability(self, tried: float, arrived: float) -> float:
        """Return with what probability a tablet that has done so arrives."""
        best = max(self.scores)
        parts = [math.exp(score - best) for score in self.scores]
        found = self.probabilities(tried, arrived)
        return sum(part * probability for part, probability in zip(parts, found, strict=True)) / sum(parts)


WEIGHTS = (3.0, 10.0, 30.0, 100.0)  # tries that a kind's share may be worth beside a tablet's own
_NEUTRAL = (0.0,) * len(WEIGHTS)
_SURE = 0.01  # nothing is surer than this

# What is expected before anything has been counted.
_EXPECTED: Mapping[str, float] = {
    Kind.WAITING: 0.93, Kind.SOON: 0.85, Kind.LATER: 0.05, Kind.LATE: 0.3, Kind.ASLEEP: 0.15, Kind.SILENT: 0.05,
    Kind.NOT_TODAY: 0.03, Kind.NEVER: 0.02, Kind.ELSEWHERE: 0.02,
}  # fmt: skip
_LEANS = 20.0  # tries that what is expected is worth beside all schools' record, and the others' beside a school's own

_NOTED_AFTER = timedelta(seconds=6)  # from when a tablet was to ask until that it did is written down
_LATE_FOR = timedelta(minutes=3)
_ASLEEP_FOR = timedelta(hours=1)
_ON_THE_WAY = timedelta(seconds=3)  # from a tablet's question to the news that it has what it got
_HORIZON = timedelta(seconds=FORECAST_S)


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
    left = min(contact.polled_at, now) + max(contact.due_at - contact.polled_at, timedelta(0)) - now
    overdue = -left - _NOTED_AFTER
    if overdue > timedelta(0):
        return Kind.LATE if overdue <= _LATE_FOR else Kind.ASLEEP if overdue <= _ASLEEP_FOR else Kind.SILENT
    if contact.is_at_school is False:
        return Kind.ELSEWHERE
    if contact.waits:
        return Kind.WAITING
    return Kind.SOON if left <= _HORIZON - _ON_THE_WAY else Kind.LATER


def forecasts(
    device_ids: Collection[int],
    *,
    contacts: Mapping[int, Contact] | None = None,
    school_id: int,
    now: datetime,
    timezone: ZoneInfo,
) -> dict[int, Forecast]:
    """Return a forecast for each tablet, should a lesson begin now; three statements, two where contacts are told.

    Args:
        device_ids: the tablets.
        contacts: what is noted of their last questions, where the caller has it.
        school_id: whose lesson it is.
        now: the instant.
        timezone: the schools' local time.
    """
    today_began_at = members.day_began_at(now, timezone)
    contacts = contacts if contacts is not None else _contacts(device_ids)
    done, here = habits(device_ids), known(records(), school_id)
    found = {}
    for device_id in device_ids:
        kind = kind_of(contacts.get(device_id, _NO_CONTACT), now=now, today_began_at=today_began_at)
        habit = done.get((device_id, kind))
        probability = here[kind].probability(habit.tried, habit.arrived) if habit is not None else here[kind].share
        found[device_id] = Forecast(kind, round(100 * min(max(probability, _SURE), 1 - _SURE)))
    return found


def summary(found: Mapping[int, Forecast]) -> Summary:
    """Return what to tell a teacher before the start."""
    doubtful = sorted(device_id for device_id, forecast in found.items() if forecast.percent < 50)
    return Summary(round(sum(forecast.percent for forecast in found.values()) / 100), len(found), doubtful)


def contact_of(member: members.Member) -> Contact:
    """Return what is noted of the last question of a class's tablet."""
    return Contact(member.presence.polled_at, member.due_at, member.waits, member.presence.is_at_school)


_NO_CONTACT = Contact(None, None, waits=False, is_at_school=None)


def _contacts(device_ids: Collection[int]) -> dict[int, Contact]:
    noted = DevicePresence
    query = select(noted.device_id, noted.polled_at, noted.due_at, noted.waits, noted.is_at_school)
    rows = db.session.execute(query.where(noted.device_id.in_(id_set(device_ids))))
    return {row[0]: Contact(*row[1:]) for row in rows}


def habits(device_ids: Collection[int]) -> dict[tuple[int, str], ArrivalHabit]:
    """Return what tablets did in earlier lessons, by tablet and kind; one statement."""
    query = select(ArrivalHabit).where(ArrivalHabit.device_id.in_(id_set(device_ids)))
    return {(habit.device_id, habit.kind): habit for habit in db.session.scalars(query)}


def records() -> dict[tuple[int, str], ArrivalRecord]:
    """Return what was counted at every school, by school and kind; one statement."""
    return {(record.school_id, record.kind): record for record in db.session.scalars(select(ArrivalRecord))}


def known(counted: Mapping[tuple[int, str], ArrivalRecord], school_id: int) -> dict[str, Known]:
    """Return by kind what is known of a school's tablets, from its own record and others'."""
    return {kind: _known(counted.get((school_id, kind)), _others(counted, school_id, kind), kind) for kind in _EXPECTED}


def _others(counted: Mapping[tuple[int, str], ArrivalRecord], school_id: int, kind: str) -> list[ArrivalRecord]:
    return [record for (of, told), record in counted.items() if told == kind and of != school_id]


def _known(own: ArrivalRecord | None, others: Sequence[ArrivalRecord], kind: str) -> Known:
    tried, arrived = (sum(column) for column in ([one.tried for one in others], [one.arrived for one in others]))
    share = (_LEANS * _EXPECTED[kind] + arrived) / (_LEANS + tried)
    part = _LEANS / max(_LEANS, tried)  # of the others' scores: as much as their share is worth
    scores = [part * sum(column) for column in zip(*(one.scores for one in others), strict=True)] or _NEUTRAL
    if own is not None:
        share = (_LEANS * share + own.arrived) / (_LEANS + own.tried)
        scores = [theirs + ours for theirs, ours in zip(scores, own.scores, strict=True)]
    return Known(share, tuple(scores))
