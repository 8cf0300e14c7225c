"""What will arrive when a lesson begins: told before it does, compared with what came, and learned from.

The model is beta-binomial, with priors learned from the data (empirical Bayes). How a tablet stands (:class:`Kind`:
holds a request open, asks soon, fell asleep …) says what share of tablets like it arrives within :data:`FORECAST_S`.
That share is counted per school. Where a school has counted little, it leans on the other schools', and those on
:data:`_EXPECTED`. The share is the mean of a Beta distribution, from which each tablet has a probability of its own;
what this tablet did in earlier lessons when it stood the same way moves the forecast from the share towards its own
rate, the more the more often it was seen:

    forecast = (weight * share + arrived) / (weight + tried)

the mean of the posterior Beta(weight * share + arrived, weight * (1 - share) + tried - arrived).

Source: Casella, "An Introduction to Empirical Bayes Data Analysis", The American Statistician 39 (1985);
Gelman et al., "Bayesian Data Analysis", chapter 5 (beta-binomial rates of many groups).

Not here: what became of the forecasts (:mod:`fleet.lessons.calibration`).
"""

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

FORECAST_S = 15  # arrived means: within so many seconds of the start


class Kind(enum.StrEnum):
    """How a tablet stands when a lesson is to begin."""

    WAITING = "waiting"  # holds a request open and hears at once
    SOON = "soon"  # asks in time by itself
    LATER = "later"  # was told to ask only after the horizon
    LATE = "late"  # should have asked, a short while ago
    ASLEEP = "asleep"  # should have asked, some while ago
    SILENT = "silent"  # heard from today, long ago
    NOT_TODAY = "not-today"
    NEVER = "never"
    ELSEWHERE = "elsewhere"  # asks from outside the school's networks


@dataclass(frozen=True, slots=True)
class Contact:
    """What the server last heard of a tablet, as far as it is noted; ``polled_at`` None: nothing ever."""

    polled_at: datetime | None
    due_at: datetime | None
    waits: bool
    is_at_school: bool | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a tablet stands and with what probability, 1 to 99 percent, it arrives in time."""

    kind: str
    percent: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A class's forecasts together: ``expected`` of ``count`` tablets; ``doubtful`` are the ids of those under 50 %."""

    expected: int
    count: int
    doubtful: list[int]


_HORIZON = timedelta(seconds=FORECAST_S)


def kind_of(contact: Contact, *, now: datetime, today_began_at: datetime) -> str:
    """Return how a tablet stands at ``now``."""
    if contact.polled_at is None or contact.due_at is None:
        return Kind.NEVER
    if contact.polled_at < today_began_at:
        return Kind.NOT_TODAY
    if contact.waits:
        return Kind.WAITING
    return Kind.SOON if contact.due_at - now <= _HORIZON else Kind.LATER


def forecasts(
    device_ids: Collection[int], *, school_id: int, now: datetime, timezone: ZoneInfo
) -> dict[int, Forecast]:
    """Return a forecast for each tablet, should a lesson begin ``now``."""
    raise NotImplementedError


def summary(found: Mapping[int, Forecast]) -> Summary:
    """Return what to tell a teacher before the start."""
    doubtful = sorted(device_id for device_id, forecast in found.items() if forecast.percent < 50)
    return Summary(round(sum(forecast.percent for forecast in found.values()) / 100), len(found), doubtful)
