"""What silence is judged by: values in, values out. Nothing here reads a database, and none of it is about a person.

A tablet is *quiet* while it has not been heard from. What counts is expected time: school at its school since then (and
the after-school programme where it is used to be heard there), less what explains the quiet: days on which its pupil
is away, an incident it was in, an answer that it is at home. See :mod:`fleet.compliance.steps` for what follows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleet.compliance.models import Answer, IncidentCause
from fleet.schools.calendar import Calendar

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much expected time leads to which step.

    Args:
        joins: quiet for so long, a tablet counts as one of many.
        clusters: half of many are quiet for so long: an incident.
        silent: one alone is silent, and its class is asked; times the patience its habit asks for.
        escalates: a question nobody answered goes on to the school's IT.
        missing: silent for so long, and nobody has answered.
    """

    joins: timedelta = timedelta(hours=1)
    clusters: timedelta = timedelta(hours=2)
    silent: timedelta = timedelta(hours=4)
    escalates: timedelta = timedelta(hours=1)
    missing: timedelta = timedelta(hours=30)


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest question about a tablet's present quiet, which nobody has taken back."""

    id: int
    asked_at: datetime
    escalated_at: datetime | None = None
    answer: Answer | None = None
    answered_at: datetime | None = None
    excused_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it still waits for an answer."""
        return self.answer is None


@dataclass(frozen=True, slots=True)
class Tablet:
    """A quiet tablet, or one about which something is open.

    Args:
        id: its number.
        school_id: its school.
        class_id: the class it stands in, else its pupil's basic class.
        cart: the cart it stands in.
        digest: of the profile it shall have.
        heard_at: when it was last heard from, or enrolled.
        missed_s: expected seconds since.
        patience: by how much its habit stretches what is asked about it.
        battery_percent: when last heard.
        is_expected: whether it is enrolled; False ends all that is open about it.
        asked: the newest question about this quiet.
        silent_id: its open finding of silence.
        missing_id: its open finding that it is missing.
        incident_id: the open incident it is in.
        is_due: whether it was expected at all on this local day: nothing begins on a day off, or while its pupil is
            away.
        is_back: whether it was heard from since it came into that, or has moved away from it.
        mute: kinds of findings that do not open, as somebody closed one by hand for this quiet.
    """

    id: int
    school_id: int | None
    class_id: int | None
    heard_at: datetime
    missed_s: int
    cart: str | None = None
    digest: str | None = None
    patience: float = 1.0
    battery_percent: int | None = None
    is_expected: bool = True
    is_due: bool = True
    asked: Asked | None = None
    silent_id: int | None = None
    missing_id: int | None = None
    incident_id: int | None = None
    is_back: bool = False
    mute: frozenset[str] = frozenset()

    @property
    def is_single(self) -> bool:
        """Whether its quiet is its own matter: found, asked about or closed by hand before many others were quiet."""
        is_found = self.silent_id is not None or self.missing_id is not None
        return is_found or self.asked is not None or bool(self.mute)


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident that is open, or closed so lately that the same tablets quiet again are the same incident."""

    id: int
    cause: IncidentCause
    school_id: int | None
    most: int
    of: int
    is_open: bool = True
    former: frozenset[int] = frozenset()  # all that were ever in it


@dataclass(frozen=True, slots=True)
class Totals:
    """How many enrolled tablets there are, by what they may have in common."""

    schools: Mapping[int | None, int]
    classes: Mapping[int, int]
    carts: Mapping[tuple[int | None, str], int]
    profiles: Mapping[tuple[int | None, str], int]  # by school and digest

    @staticmethod
    def of(rows: Iterable[tuple[int | None, int | None, str | None, str | None, int]]) -> "Totals":
        """Count rows of school, class, cart, digest and number."""
        schools: dict[int | None, int] = {}
        classes: dict[int, int] = {}
        carts: dict[tuple[int | None, str], int] = {}
        profiles: dict[tuple[int | None, str], int] = {}
        for school_id, class_id, cart, digest, number in rows:
            schools[school_id] = schools.get(school_id, 0) + number
            if class_id is not None:
                classes[class_id] = classes.get(class_id, 0) + number
            if cart is not None:
                carts[school_id, cart] = carts.get((school_id, cart), 0) + number
            if digest is not None:
                profiles[school_id, digest] = profiles.get((school_id, digest), 0) + number
        return Totals(schools, classes, carts, profiles)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that one look at silence needs."""

    now: datetime
    tablets: Sequence[Tablet]
    totals: Totals
    incidents: Sequence[Standing]
    calendars: Mapping[int | None, Calendar]
    limits: Limits = field(default_factory=Limits)

    def calendar(self, school_id: int | None) -> Calendar:
        """Return a school's calendar, the municipality's where it has none."""
        return self.calendars.get(school_id) or self.calendars[None]


def is_due(calendar: Calendar, heard_at: datetime, now: datetime, explained: Collection[Span] = ()) -> bool:
    """Whether a tablet was expected at all on the running local day, since it was heard."""
    morning = now.astimezone(calendar.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    return expected_seconds(calendar, max(heard_at, morning), now, explained) > 0


def expected_seconds(
    calendar: Calendar,
    since: datetime,
    until: datetime,
    explained: Collection[Span] = (),
    later: Calendar | None = None,
) -> int:
    """Return the seconds in which a tablet was expected to be heard between two instants.

    Args:
        calendar: of its school.
        since: when it was last heard.
        until: the instant.
        explained: spans in which its quiet has another reason; they may overlap.
        later: of the after-school programme, where the tablet is expected there too.
    """
    known = (calendar,) if later is None else (calendar, later)
    total = sum(one.school_seconds_between(since, until) for one in known) if until > since else 0
    if not explained or not total:
        return total
    end = since
    for start, stop in sorted(explained):
        first, last = max(start, end), min(stop, until)
        if last > first:
            total -= sum(one.school_seconds_between(first, last) for one in known)
            end = last
    return max(0, total)
